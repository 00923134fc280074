"""Hands as WebXR has them (Hand Input Module): 25 joints, y up, -z forward, a JSON object a frame."""

from typing import Any, Final

import numpy as np

from hamba_core.hand import to_quaternion
from stages.common.openxr_joints import JOINTS, generic_radii, poses_26, radii_of
from stages.packets import FrameResult
from viewers.avatars.vmc import best_of_sides

_FINGERS: Final = {"THUMB": "thumb", "INDEX": "index-finger", "MIDDLE": "middle-finger", "RING": "ring-finger",
                   "LITTLE": "pinky-finger"}  # fmt: skip
_PARTS: Final = {"METACARPAL": "metacarpal", "PROXIMAL": "phalanx-proximal", "INTERMEDIATE": "phalanx-intermediate",
                 "DISTAL": "phalanx-distal", "TIP": "tip"}  # fmt: skip


def _name(joint: str) -> str:
    finger, _, part = joint.partition("_")
    return f"{_FINGERS[finger]}-{_PARTS[part]}" if part else "wrist"


_PLACES: Final = [place for place, joint in enumerate(JOINTS) if joint != "PALM"]
WEBXR_JOINTS: Final = tuple(_name(JOINTS[place]) for place in _PLACES)
"""Names of XRHandJoint, in its order."""

_R_XR_CAMERA: Final = np.diag([1.0, -1.0, -1.0])


def webxr_frame(result: FrameResult) -> dict[str, Any]:
    """Return a frame for JSON: for each hand its handedness and, by WebXR's names, position, orientation and radius.

    Orientations are quaternions x, y, z, w. The camera is at the origin and looks along -z.
    """
    hands = []
    for hand in best_of_sides(result):
        places, rotations = poses_26(hand)
        positions = (places @ _R_XR_CAMERA)[_PLACES].round(5).tolist()
        orientations = to_quaternion(_R_XR_CAMERA @ rotations[_PLACES]).round(5).tolist()
        radii = radii_of(hand.joints, hand.vertices) if len(hand.vertices) else generic_radii()
        joints = {
            name: {"position": position, "orientation": orientation, "radius": round(float(radius), 4)}
            for name, position, orientation, radius in zip(
                WEBXR_JOINTS, positions, orientations, radii[_PLACES], strict=True
            )
        }
        hands.append({"handedness": hand.side, "joints": joints})
    return {"frame": result.frame.index, "time": result.frame.pts, "hands": hands}
