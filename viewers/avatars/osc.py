"""Hands as plain OSC, for music, stage and game programs that map numbers themselves.

`/hamba/<side>/...`, in the camera frame: metres, x right, y down, z forward.
"""

from collections.abc import Iterator

import numpy as np

from hamba_core.hand import SIDES, mirrored_rotations, to_quaternion
from stages.common.openxr_joints import rotations_21
from stages.packets import FrameResult
from viewers.avatars.humanoid import curls
from viewers.avatars.sending import OscMessage
from viewers.avatars.vmc import best_of_sides


def osc_messages(result: FrameResult, prefix: str = "/hamba") -> Iterator[OscMessage]:
    """Yield the messages of a frame: whether each side is seen, and of those that are, joints, wrist, curls, pinch."""
    seen = {hand.side: hand for hand in best_of_sides(result)}
    yield OscMessage(f"{prefix}/frame", (result.frame.index, float(result.frame.pts)))
    for side in SIDES:
        hand = seen.get(side)
        yield OscMessage(f"{prefix}/{side}/seen", (int(hand is not None),))
        if hand is None:
            continue
        x, y, z = hand.joints[0].tolist()
        turned = to_quaternion(rotations_21(hand)[0]).tolist()
        yield OscMessage(f"{prefix}/{side}/wrist", (x, y, z, *turned))
        yield OscMessage(f"{prefix}/{side}/joints", tuple(hand.joints.ravel().tolist()))
        own = np.concatenate([hand.global_orient[None], hand.hand_pose])
        real = to_quaternion(mirrored_rotations(own.astype(np.float64), side))
        yield OscMessage(f"{prefix}/{side}/rotations", tuple(real.ravel().tolist()))
        for finger, curl in curls(hand).items():
            yield OscMessage(f"{prefix}/{side}/curl/{finger}", (curl,))
        pinch = float(np.linalg.norm(hand.joints[4] - hand.joints[8]))
        yield OscMessage(f"{prefix}/{side}/pinch", (pinch,))
