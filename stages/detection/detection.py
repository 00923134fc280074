"""The detector finds hands in a picture, on the CPU, with MediaPipe's networks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from pydantic import Field

from hamba_core.hand import Side
from stages.common.proximity import joint_distance
from stages.contract import Stage
from stages.packets import Choice, Detections, Frame, FrameMeta, HandBox
from stages.settings import StageSettings

if TYPE_CHECKING:
    from stages.detection.hand_follower import HandFollower
    from stages.detection.mediapipe_landmarker import MediaPipeLandmarker

_DUPLICATE_DISTANCE: Final = (
    0.2  # of the hand's size; the joints of two real hands are hardly ever that near on average
)
_SHORTEST_STEP: Final = 1e-3  # s
_LONGEST_STEP: Final = 60.0  # s


class DetectionSettings(StageSettings):
    """How hands are found."""

    detector: Literal["onnx", "mediapipe"] = Field(
        default="onnx",
        description="onnx: MediaPipe's networks in ONNX Runtime, hands followed by their motion; "
        "mediapipe: MediaPipe's Hand Landmarker",
    )
    max_hands: int = Field(default=2, ge=1, le=16, description="largest number of hands in a picture")
    min_detection_score: float = Field(
        default=0.5, ge=0, le=1, description="least score of a palm for a hand to be searched there"
    )
    min_presence_score: float = Field(default=0.5, ge=0, le=1, description="least score for a crop to count as a hand")
    min_tracking_score: float = Field(
        default=0.5, ge=0, le=1, description="mediapipe: least overlap with the last frame's hand for it to be followed"
    )
    every: int = Field(
        default=1,
        ge=1,
        le=10,
        description="look only at every n-th frame; in between, hands follow their motion or the network",
    )
    mirror: bool = Field(default=False, description="the pictures are mirrored, as in selfie views: flip them back")
    side: Literal["auto", "left", "right"] = Field(
        default="auto",
        description="the side of every hand, for a rig that only sees one side; auto: as detected",
    )
    mode: Literal["auto", "video", "image"] = Field(
        default="auto",
        description="video: follow hands from frame to frame; image: search each picture anew; auto: by the source",
    )


class HandDetection(Stage[Frame, Detections]):
    """A stage that finds the hands in each frame, in no particular order and without track ids.

    It gives of each hand: the side, correct for pictures that are not mirrored; a score, the network's certainty of the
    side; 21 joints in the picture, px, also outside it; the 21 joints in metres with axes as the camera's (x right,
    y down, z forward), the origin at the hand's own centre; and the tightest box around the joints in the picture,
    ungrown, which is what the Hamba network's crop scales up. The detector `onnx` also gives its look at the hand, and
    in it the network's inner maps if `maps` is set.

    Where the side is given (`settings.side`), every hand has it, and the network looks at each as at one of that side.

    A mirrored picture (`settings.mirror`) is no picture of the real world: in it a right hand has the shape of a left
    one. It is turned back, with its camera, and the frame that comes out is the turned one.

    `stills` says that the pictures have nothing to do with one another, so that each is looked at, in mode "auto" anew.
    """

    name = "detect"

    def __init__(self, settings: DetectionSettings | None = None, *, stills: bool = False, maps: bool = False) -> None:
        self._settings = settings or DetectionSettings()
        self._video = self._settings.mode == "video" or (self._settings.mode == "auto" and not stills)
        self._stills = stills
        self._maps = maps
        self._side: Side | None = None if self._settings.side == "auto" else self._settings.side
        self._finder: HandFollower | MediaPipeLandmarker | None = None
        self._name = "not loaded"
        self._now = 0.0  # s, rises with every frame, whatever the source's time stamps do
        self._last_pts: float | None = None
        self._frames = 0

    def open(self) -> None:
        """Load the networks. Raises DependencyError, WeightsError."""
        s = self._settings
        if s.detector == "mediapipe":
            from stages.detection.mediapipe_landmarker import MediaPipeLandmarker

            self._finder = MediaPipeLandmarker(
                video=self._video,
                most=s.max_hands,
                least_palm=s.min_detection_score,
                least_presence=s.min_presence_score,
                least_tracking=s.min_tracking_score,
            )
        else:
            from stages.detection.hand_follower import HandFollower

            self._finder = HandFollower(
                most=s.max_hands,
                least_palm=s.min_detection_score,
                least_presence=s.min_presence_score,
                follow=self._video,
                maps=self._maps,
                side=self._side,
            )
        self._name = self._finder.name

    def process(self, packet: Frame) -> Detections:
        frame = _unmirrored(packet) if self._settings.mirror else packet
        self._advance_clock(frame.meta.pts)
        self._frames += 1
        if (self._frames - 1) % self._settings.every and not self._stills:
            return Detections(frame, (), looked=False)
        if self._finder is None:
            raise RuntimeError("HandDetection: expected to be opened before frames come, found that it is not")
        hands = self._finder.find(frame.image, self._now)
        if self._side is not None:
            hands = [hand.of_side(self._side) for hand in hands]
        return Detections(frame, without_duplicates(hands))

    def close(self) -> None:
        finder, self._finder = self._finder, None
        if finder is not None:
            finder.close()

    def choices(self) -> tuple[Choice, ...]:
        if self._settings.mode != "auto":
            reason = f"detect.mode is {self._settings.mode}"
        else:
            reason = "the pictures are stills" if self._stills else "the frames follow one another"
        chosen = (Choice("detector", self._name, reason),)
        if self._side is None:
            return chosen
        return (*chosen, Choice("side", f"every hand is a {self._side} one", "detect.side is set"))

    def _advance_clock(self, pts: float) -> None:
        if self._last_pts is None:
            self._now = pts
        else:
            self._now += min(max(pts - self._last_pts, _SHORTEST_STEP), _LONGEST_STEP)
        self._last_pts = pts


def without_duplicates(boxes: Sequence[HandBox]) -> tuple[HandBox, ...]:
    """Return the hands; of two that have all their joints in the same place, only the one with the higher score."""
    kept: list[HandBox] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if all(joint_distance(box.joints_2d, other.joints_2d) > _DUPLICATE_DISTANCE for other in kept):
            kept.append(box)
    return tuple(kept)


def _unmirrored(frame: Frame) -> Frame:
    meta, camera = frame.meta, frame.meta.camera
    camera = replace(camera, cx=meta.width - camera.cx)
    turned = FrameMeta(meta.stream, meta.index, meta.pts, meta.captured_ns, meta.width, meta.height, camera)
    return Frame(turned, np.ascontiguousarray(frame.image[:, ::-1]))
