"""Measures `generic_offsets.txt`: where MediaPipe's landmarks lie on the generic hand.

Run it with `python -m stages.reconstruction.landmarks.make.offsets`; it takes some minutes. Synthetic hands whose every
joint is known are shown to the hand detector, and the offsets are those that bring the true joints nearest to its
landmarks in the pictures: robust least squares over all frames, with a weak pull towards none where views do not tell.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES
from hamba_core.view import Intrinsics
from stages.detection import DetectionSettings, HandDetection
from stages.packets import HandBox
from stages.reconstruction.landmarks.fingers import FINGER_JOINTS
from stages.reconstruction.landmarks.offsets import OFFSETS_FILE
from stages.synthetic import HandTruth, SyntheticSettings, SyntheticSource

SEEDS = range(1000, 1008)
"""None of them is the shipped clip's."""
FPS = 10.0
SHARE = 0.7
"""How much of what was measured is kept: drawn hands are much like real ones, not the same."""
ROBUST_FROM = 0.003
"""m: distance from which a landmark counts less."""
PULL = 0.01
"""Weight of "no offset" relative to a frame's landmark."""


def observations(seed: int) -> Iterator[tuple[HandBox, HandTruth, Intrinsics]]:
    """Yield each hand that the detector found in ten seconds of synthetic video, and the truth about it."""
    source = SyntheticSource(SyntheticSettings(seed=seed, fps=FPS, seconds=10))
    detection = HandDetection(DetectionSettings())
    try:
        camera = source.open().camera
        detection.open()
        for frame in source.frames():
            if frame is None:
                continue
            truths = {truth.side: truth for truth in source.truth(frame.meta.pts)}
            for box in detection.process(frame).boxes:
                truth = truths.get(box.side)
                # A hand taken for the other one tells nothing about joints.
                if (
                    truth
                    and np.abs(truth.joints_2d - box.joints_2d).mean() < 0.25 * np.ptp(truth.joints_2d, axis=0).max()
                ):
                    yield box, truth, camera
    finally:
        detection.close()
        source.close()


def bone_rotations(truth: HandTruth) -> Array:
    """Return the world rotation (21, 3, 3), of the mirrored right hand, of the bone that ends at each joint."""
    rotations = np.tile(truth.global_orient, (21, 1, 1))
    for finger, joints in enumerate(FINGER_JOINTS):
        for place, joint in enumerate(joints):
            end = 4 * finger + place + 2
            rotations[end] = rotations[end - 1] @ truth.hand_pose[joint - 1]
    return rotations


def equations(box: HandBox, truth: HandTruth, camera: Intrinsics) -> tuple[Array, Array]:
    """Return A (21, 2, 3), b (21, 2), metres: A @ offset = b puts joints onto their landmarks' rays, to first order."""
    mirror = np.array([-1.0 if truth.side == "left" else 1.0, 1.0, 1.0])
    joints = truth.joints * mirror
    rays = camera.rays(box.joints_2d)[:, :2] * mirror[:2]
    depth = joints[:, 2:]
    slopes = np.zeros((21, 2, 3))
    slopes[:, 0, 0] = slopes[:, 1, 1] = 1
    slopes[:, :, 2] = -joints[:, :2] / depth
    return slopes @ bone_rotations(truth), rays * depth - joints[:, :2]


def solve(a: Array, b: Array) -> Array:
    """Return one joint's offset (3,) from all frames, (N, 2, 3), (N, 2), by iteratively reweighted least squares."""
    offset = np.zeros(3)
    for _ in range(20):
        distance = np.linalg.norm(a @ offset - b, axis=1)
        weight = np.minimum(1, ROBUST_FROM / np.maximum(distance, 1e-9))[:, None, None]
        normal = (a.swapaxes(1, 2) @ (weight * a)).sum(0) + PULL * len(a) * np.eye(3)
        offset = np.linalg.solve(normal, (a.swapaxes(1, 2) @ (weight * b[..., None])).sum(0)[:, 0])
    return offset


def main() -> None:
    """Measure and write."""
    seen = [equations(*one) for seed in SEEDS for one in observations(seed)]
    a, b = (np.stack(parts) for parts in zip(*seen, strict=True))
    offsets = SHARE * np.stack([solve(a[:, joint], b[:, joint]) for joint in range(21)])
    lines = [
        f"# Millimetres from the generic hand's joints to MediaPipe's landmarks, rest pose axes; {SHARE:g} of what",
        f"# make_offsets measured on {len(seen)} synthetic hands, seeds {SEEDS[0]} to {SEEDS[-1]}.",
        *(f"{name:<9}" + "".join(f"{x:7.1f}" for x in 1000 * o) for name, o in zip(JOINT_NAMES, offsets, strict=True)),
    ]
    (Path(__file__).parents[1] / OFFSETS_FILE).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
