"""Find hands in a picture: MediaPipe's Hand Landmarker on the CPU."""

import io
import re
import zipfile
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field

from hamba_core.errors import DependencyError, WeightsError
from hamba_core.hand import Side
from hamba_core.view import Intrinsics
from stages.assets import HAND_LANDMARKER
from stages.common.native_log import chatter_held_back
from stages.common.proximity import joint_distance, tight_box
from stages.contract import Stage
from stages.packets import Choice, Detections, Frame, FrameMeta, HandBox, Image
from stages.settings import StageSettings

_DUPLICATE_DISTANCE: Final = (
    0.2  # of the hand's size; the joints of two real hands are hardly ever that near on average
)
_LONGEST_STEP_MS: Final = 60_000
_SYSTEM_PACKAGES: Final = {
    "libEGL": "libegl1",
    "libGLESv2": "libgles2",
    "libGL": "libgl1",
    "libglib-2.0": "libglib2.0-0",
}
_MEND: Final = "install hamba-stream again, or make the file with stages/assets/make/hand_landmarker.py"


class DetectionSettings(StageSettings):
    """How hands are found."""

    max_hands: int = Field(default=2, ge=1, le=16, description="most hands to find in a picture")
    min_detection_score: float = Field(
        default=0.5, ge=0, le=1, description="least score of a palm to look for a hand there"
    )
    min_presence_score: float = Field(
        default=0.5, ge=0, le=1, description="least score that what was looked at is a hand"
    )
    min_tracking_score: float = Field(
        default=0.5, ge=0, le=1, description="least overlap with the last frame's hand to follow it"
    )
    every: int = Field(
        default=1,
        ge=1,
        le=10,
        description="look at every n-th frame; in between, hands are where their motion or the network has them",
    )
    mirror: bool = Field(default=False, description="the pictures are mirrored, as selfie views are: turn them back")
    mode: Literal["auto", "video", "image"] = Field(
        default="auto",
        description="video follows hands from frame to frame, image looks at each picture anew; auto: by the source",
    )


class HandDetection(Stage[Frame, Detections]):
    """Frames to the hands seen in them, in no particular order and without track ids.

    Of each hand: the side, right for pictures that are not mirrored; a score, MediaPipe's certainty of the side, the
    only one it gives; 21 joints in the picture, px, also outside it; the 21 joints in metres with axes as the camera's
    (x right, y down, z forward), the origin at the hand's own centre; and the tightest box around the joints in the
    picture, ungrown, which is what the Hamba network's crop scales up.

    A mirrored picture (`settings.mirror`) is no picture of the real world: in it a right hand has the shape of a left
    one. It is turned back, with its camera, and the frame that comes out is the turned one.

    `stills` says that the pictures have nothing to do with one another, so that each is looked at, in mode "auto" anew.
    """

    name = "detect"

    def __init__(self, settings: DetectionSettings | None = None, *, stills: bool = False) -> None:
        self._settings = settings or DetectionSettings()
        self._video = self._settings.mode == "video" or (self._settings.mode == "auto" and not stills)
        self._stills = stills
        self._landmarker: Any = None
        self._mediapipe: Any = None
        self._timestamp_ms = 0
        self._last_pts: float | None = None
        self._frames = 0

    def open(self) -> None:
        """Load the networks. Raises DependencyError, WeightsError."""
        try:
            import mediapipe
            from mediapipe.tasks.python import vision
        except ImportError as error:
            raise _missing_dependency(error) from error
        task_file = _read_task_file()
        self._mediapipe = mediapipe
        options = vision.HandLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_buffer=task_file),
            running_mode=vision.RunningMode.VIDEO if self._video else vision.RunningMode.IMAGE,
            num_hands=self._settings.max_hands,
            min_hand_detection_confidence=self._settings.min_detection_score,
            min_hand_presence_confidence=self._settings.min_presence_score,
            min_tracking_confidence=self._settings.min_tracking_score,
        )
        with chatter_held_back():
            try:
                self._landmarker = vision.HandLandmarker.create_from_options(options)
            except (OSError, RuntimeError, ValueError) as error:
                if type(error) is OSError:  # the loader's; MediaPipe's own are of OSError's children
                    raise _missing_dependency(error) from error
                raise WeightsError(f"{HAND_LANDMARKER}: MediaPipe cannot use it: {error}; {_MEND}") from error
            # The graph's threads start with the first picture.
            self._landmark(np.zeros((64, 64, 3), np.uint8))

    def process(self, packet: Frame) -> Detections:
        frame = _unmirrored(packet) if self._settings.mirror else packet
        self._advance_clock(frame.meta.pts)
        self._frames += 1
        if (self._frames - 1) % self._settings.every and not self._stills:
            return Detections(frame, (), looked=False)
        result = self._landmark(frame.image)
        boxes = [
            _hand_box(categories[0], joints, world, frame.meta)
            for categories, joints, world in zip(
                result.handedness, result.hand_landmarks, result.hand_world_landmarks, strict=True
            )
        ]
        return Detections(frame, without_duplicates(boxes))

    def close(self) -> None:
        landmarker, self._landmarker = self._landmarker, None
        if landmarker is not None:
            landmarker.close()

    def choices(self) -> tuple[Choice, ...]:
        version = self._mediapipe.__version__ if self._mediapipe else "not loaded"
        mode = "VIDEO" if self._video else "IMAGE"
        if self._settings.mode != "auto":
            reason = f"detect.mode is {self._settings.mode}"
        else:
            reason = "the pictures are stills" if self._stills else "the frames follow one another"
        return (Choice("detector", f"MediaPipe Hand Landmarker {version}, CPU, {mode} mode", reason),)

    def _advance_clock(self, pts: float) -> None:
        """MediaPipe's time, ms, has to rise with every frame, whatever the source's does."""
        step = 0.0 if self._last_pts is None else 1000 * (pts - self._last_pts)
        self._timestamp_ms += round(min(max(step, 1), _LONGEST_STEP_MS))
        self._last_pts = pts

    def _landmark(self, image: Image) -> Any:
        picture = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        if self._video:
            return self._landmarker.detect_for_video(picture, self._timestamp_ms)
        return self._landmarker.detect(picture)


def without_duplicates(boxes: Sequence[HandBox]) -> tuple[HandBox, ...]:
    """The hands, of two that have all their joints in the same place only the one with the higher score."""
    kept: list[HandBox] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if all(joint_distance(box.joints_2d, other.joints_2d) > _DUPLICATE_DISTANCE for other in kept):
            kept.append(box)
    return tuple(kept)


def _hand_box(category: Any, joints: Sequence[Any], world: Sequence[Any], meta: FrameMeta) -> HandBox:
    joints_2d = np.array([(joint.x * meta.width, joint.y * meta.height) for joint in joints], np.float32)
    side: Side = "left" if category.category_name == "Left" else "right"
    return HandBox(
        side=side,
        score=min(max(float(category.score), 0.0), 1.0),
        box=tight_box(joints_2d),
        joints_2d=joints_2d,
        joints_world=np.array([(joint.x, joint.y, joint.z) for joint in world], np.float32),
    )


def _unmirrored(frame: Frame) -> Frame:
    meta, camera = frame.meta, frame.meta.camera
    camera = Intrinsics(camera.fx, camera.fy, meta.width - camera.cx, camera.cy, camera.estimated)
    turned = FrameMeta(meta.stream, meta.index, meta.pts, meta.captured_ns, meta.width, meta.height, camera)
    return Frame(turned, np.ascontiguousarray(frame.image[:, ::-1]))


def _read_task_file() -> bytes:
    """The task file, checked, because MediaPipe does not survive every damage. Raises WeightsError."""
    try:
        content = HAND_LANDMARKER.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{HAND_LANDMARKER}: expected the hand detector's networks in a zip archive, found: {error}; {_MEND}"
        ) from error
    if damaged is not None:
        raise WeightsError(f"{HAND_LANDMARKER}: expected an intact archive, found {damaged} damaged; {_MEND}")
    return content


def _missing_dependency(error: Exception) -> DependencyError:
    advice = "install it: python -m pip install 'mediapipe>=0.10.30,<2'"
    library = re.search(r"(lib\S+?)\.so[.\d]*: cannot open shared object", str(error))
    if library:
        package = _SYSTEM_PACKAGES.get(library[1], f"<the package of {library[1]}>")
        advice = f"install it, on Debian and Ubuntu with: sudo apt-get install -y {package}"
    return DependencyError(f"hand detection: expected MediaPipe and its system libraries, found: {error}; {advice}")
