"""Hands that a detector sees, and what tracking makes of them, for tests."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import Side
from hamba_core.view import Intrinsics
from stages.common.proximity import tight_box
from stages.packets import Detections, Frame, FrameMeta, HandBox
from stages.tracking import HandTracking

WIDTH, HEIGHT = 640, 480
PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def open_right_hand() -> Array:
    """Joints (21, 2) of an open right hand, its back to the camera, 1 high and centred on its palm."""
    joints = [(0.0, 0.45)]
    for base, direction, bones in [
        ((-0.12, 0.36), -0.95, (0.0, 0.12, 0.1, 0.09)),
        ((-0.12, 0.05), -0.15, (0.0, 0.14, 0.08, 0.07)),
        ((-0.02, 0.02), 0.0, (0.0, 0.16, 0.1, 0.08)),
        ((0.08, 0.05), 0.12, (0.0, 0.14, 0.09, 0.08)),
        ((0.16, 0.11), 0.3, (0.0, 0.1, 0.06, 0.06)),
    ]:
        for length in np.cumsum(bones):
            joints.append((base[0] + length * np.sin(direction), base[1] - length * np.cos(direction)))
    return np.array(joints)


SHAPES: dict[Side, Array] = {"right": open_right_hand(), "left": open_right_hand() * (-1, 1)}


@dataclass
class Person:
    """A hand and its way: seconds to the palm's place, px."""

    side: Side
    way: Callable[[float], tuple[float, float]]
    size: float = 150.0

    def seen(self, t: float, rng: np.random.Generator, *, score: float = 0.95, noise: float = 1.5) -> HandBox:
        joints = SHAPES[self.side] * self.size + self.way(t) + rng.normal(scale=noise, size=(21, 2))
        return hand_box(joints, self.side, score)


def hand_box(joints: Array, side: Side, score: float) -> HandBox:
    seen = joints.astype(np.float32)
    return HandBox(side, score, tight_box(seen), seen, np.zeros((21, 3), np.float32))


def flipped(box: HandBox, score: float = 0.9) -> HandBox:
    return replace(box, side="left" if box.side == "right" else "right", score=score)


def detections(t: float, boxes: Iterable[HandBox], index: int = 0) -> Detections:
    meta = FrameMeta("hands", index, t, 1, WIDTH, HEIGHT, Intrinsics(500, 500, WIDTH / 2, HEIGHT / 2))
    return Detections(Frame(meta, PICTURE), tuple(boxes))


def follow(
    times: Iterable[float], see: Callable[[float], Sequence[HandBox]], tracking: HandTracking | None = None
) -> list[tuple[HandBox, ...]]:
    tracking = tracking or HandTracking()
    return [tracking.process(detections(t, see(t), i)).boxes for i, t in enumerate(times)]


def clock(seconds: float, rate: float = 30.0) -> Array:
    return np.arange(round(seconds * rate)) / rate


def ids_and_sides(frames: Iterable[Sequence[HandBox]]) -> set[tuple[int | None, Side]]:
    return {(box.track_id, box.side) for boxes in frames for box in boxes}


LEFT = Person("left", lambda t: (160.0, 240.0))
RIGHT = Person("right", lambda t: (480.0, 240.0))
ENTERING = Person("right", lambda t: (400.0, HEIGHT - 10.0))  # fingers in the picture, and half of the palm
