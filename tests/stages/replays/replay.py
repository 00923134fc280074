"""Detections of real clips, run again through tracking, fit and smoothing, and what can be said of the hands.

A replay holds what MediaPipe's VIDEO mode saw, frame by frame, without pictures, and what is true of its hands. Its
measures count hand-frames: a true hand in a frame.

The files have arrays: `times` (F,) s; `size` (2,) px; for each hand detected `frame`, `label` ("left", or 1), `score`,
`joints_2d` (21, 2) px and `joints_world` (21, 3) m, as floats, or as integers in eighths of a pixel and tenths of a
millimetre.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np

from hamba_core.arrays import Array, Float32Array
from hamba_core.hand import Side, load_generic_hand
from hamba_core.view import Intrinsics
from stages.common.proximity import hand_size, joint_distance, tight_box
from stages.packets import Detections, Frame, FrameMeta, FrameResult, Hand, HandBox
from stages.reconstruction.landmarks import LandmarksEstimator, landmark_offsets
from stages.reconstruction.landmarks.fingers import FINGER_JOINTS, Fingers
from stages.smoothing import Smoothing, SmoothingSettings
from stages.tracking import HandTracking

FAR_OFF = 0.1  # of the hand's size, mean over the joints
BEYOND_LIMITS = 0.1  # radians; smoothing turns joints each for itself, so that a little beyond is no fault


@dataclass(frozen=True, eq=False)
class Replay:
    """Detections of a clip, and the true hand of each."""

    name: str
    times: Array  # (F,) s
    size: tuple[int, int]  # px: width, height
    boxes: tuple[tuple[HandBox, ...], ...]  # of each frame
    owners: tuple[tuple[int, ...], ...]  # of each box the true hand
    sides: tuple[Side, ...]  # of each true hand

    def frames(self) -> list[Detections]:
        """What a detection stage would have given, on black pictures."""
        width, height = self.size
        picture = np.zeros((height, width, 3), np.uint8)
        camera = Intrinsics.estimate(width, height)
        return [
            Detections(Frame(FrameMeta("replay", i, float(pts), i + 1, width, height, camera), picture), boxes)
            for i, (pts, boxes) in enumerate(zip(self.times, self.boxes, strict=True))
        ]


def load_replay(path: Path, sides: Sequence[Side]) -> Replay:
    """Read a replay whose true hands are these: one, or a left and a right that the detector tells apart."""
    with np.load(path) as file:
        data = {name: file[name] for name in file.files}
    boxes: list[list[HandBox]] = [[] for _ in data["times"]]
    owners: list[list[int]] = [[] for _ in data["times"]]
    pixels, metres = (data[name] for name in ("joints_2d", "joints_world"))
    if np.issubdtype(pixels.dtype, np.integer):
        pixels, metres = pixels / 8, metres / 1e4
    for i, frame in enumerate(data["frame"]):
        joints = pixels[i].astype(np.float32)
        side: Side = "left" if data["label"][i] in ("left", 1) else "right"
        score = float(np.clip(data["score"][i], 0, 1))
        boxes[frame].append(HandBox(side, score, tight_box(joints), joints, metres[i].astype(np.float32)))
        owners[frame].append(0 if len(sides) == 1 else sides.index(side))
    width, height = (int(n) for n in data["size"])
    return Replay(
        path.stem,
        data["times"].astype(np.float64),
        (width, height),
        tuple(map(tuple, boxes)),
        tuple(map(tuple, owners)),
        tuple(sides),
    )


@dataclass
class Measures:
    """Counts over one replay or several; add them up with `+`."""

    true_hands: int = 0
    detected: int = 0  # hand-frames
    shown: int = 0  # of those detected
    far_off: int = 0  # of those shown
    impossible: int = 0  # hands shown, also extrapolated
    hands: int = 0  # all hands shown
    extra: int = 0  # hand-frames in which a true hand is shown twice
    births: int = 0
    wrong_side: int = 0
    seconds: list[float] = field(default_factory=list)  # of each frame with hands
    missing: list[tuple[int, int]] = field(default_factory=list)  # frame and true hand that was detected, not shown

    def __add__(self, other: "Measures") -> "Measures":
        return Measures(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def shares(self) -> Mapping[str, float]:
        """What the goals are stated in."""
        return {
            "shown": self.shown / max(self.detected, 1),
            "far off": self.far_off / max(self.shown, 1),
            "impossible": self.impossible / max(self.hands, 1),
            "extra": self.extra / max(self.detected, 1),
            "births": self.births / max(self.true_hands, 1),
            "wrong side": self.wrong_side / max(self.hands, 1),
        }


class Line:
    """Tracking, fit and smoothing, put together as a run does."""

    def __init__(self) -> None:
        model = load_generic_hand()
        self.tracking = HandTracking()
        self.estimator = LandmarksEstimator(model, landmark_offsets(model))
        self.smoothing = Smoothing(SmoothingSettings(), model)

    def process(self, packet: Detections) -> FrameResult:
        tracked = self.tracking.process(packet)
        (hands,) = self.estimator.reconstruct([tracked])
        return self.smoothing.process(FrameResult(packet.frame.meta, hands))


def measure(replay: Replay) -> tuple[Measures, list[FrameResult]]:
    """Run it, frame by frame, and count."""
    line, results = Line(), []
    found = Measures(true_hands=len(replay.sides))
    ids: set[tuple[int, int]] = set()
    last: dict[int, Float32Array] = {}
    for packet, owners in zip(replay.frames(), replay.owners, strict=True):
        begun = perf_counter()
        result = line.process(packet)
        if packet.boxes:
            found.seconds.append(perf_counter() - begun)
        results.append(result)
        now: dict[int, list[HandBox]] = {}
        for box, owner in zip(packet.boxes, owners, strict=True):
            now.setdefault(owner, []).append(box)
            last[owner] = box.joints_2d
        shown: dict[int, list[Hand]] = {}
        for hand in result.hands:
            shown.setdefault(nearest(hand, last), []).append(hand)
        found.detected += len(now)
        found.hands += len(result.hands)
        found.impossible += sum(not is_possible(hand) for hand in result.hands)
        for owner, hands in shown.items():
            ids |= {(owner, hand.track_id) for hand in hands}
            found.extra += len(hands) - 1
            found.wrong_side += sum(hand.side != replay.sides[owner] for hand in hands)
        for owner, boxes in now.items():
            if owner not in shown:
                found.missing.append((packet.frame.meta.index, owner))
                continue
            found.shown += 1
            off = min(off_by(hand, box) for hand in shown[owner] for box in boxes)
            found.far_off += off > FAR_OFF
    found.births = len(ids)
    return found, results


def off_by(hand: Hand, box: HandBox) -> float:
    """Mean distance in the picture of a hand's joints from those detected, as a share of the detected hand's size."""
    apart = np.linalg.norm(hand.joints_2d - box.joints_2d, axis=1).mean()
    return float(apart) / hand_size(box.joints_2d)


def nearest(hand: Hand, places: Mapping[int, Float32Array]) -> int:
    """Of the true hands, as last detected, that which lies nearest."""
    return min(places, key=lambda owner: joint_distance(places[owner], hand.joints_2d))


_MODEL = load_generic_hand()
_AXES = Fingers(_MODEL, np.zeros((21, 3))).axes
_LIMITS = _MODEL.joint_limits[FINGER_JOINTS - 1]


def beyond_limits(hand: Hand) -> float:
    """Radians by which the hand's joints are bent farther than a hand's can be."""
    pose = hand.hand_pose[FINGER_JOINTS - 1].astype(np.float64)
    local = _AXES @ pose @ _AXES.swapaxes(-1, -2)
    # R = X(a) Y(b) Z(c) in the joint's own axes.
    angles = np.stack(
        [
            np.arctan2(-local[..., 1, 2], local[..., 2, 2]),
            np.arcsin(local[..., 0, 2].clip(-1, 1)),
            np.arctan2(-local[..., 0, 1], local[..., 0, 0]),
        ],
        -1,
    )
    return float(np.maximum(_LIMITS[..., 0] - angles, angles - _LIMITS[..., 1]).max())


def is_possible(hand: Hand) -> bool:
    """Whether a person's hand can be like that: joints within their limits, of a hand's size, before the camera."""
    palm = np.linalg.norm(hand.joints[9] - hand.joints[0])
    return bool(beyond_limits(hand) < BEYOND_LIMITS and 0.05 < palm < 0.15 and hand.vertices[:, 2].min() > 0)
