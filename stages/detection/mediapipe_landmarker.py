"""MediaPipe's Hand Landmarker, as MediaPipe runs it: the detector `mediapipe`."""

import io
import re
import zipfile
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from hamba_core.errors import DependencyError, WeightsError
from hamba_core.hand import Side
from stages.assets import HAND_LANDMARKER
from stages.common.native_log import chatter_held_back
from stages.common.proximity import tight_box
from stages.packets import HandBox, Image

_SYSTEM_PACKAGES: Final = {
    "libEGL": "libegl1",
    "libGLESv2": "libgles2",
    "libGL": "libgl1",
    "libglib-2.0": "libglib2.0-0",
}
_MEND: Final = "install hamba-stream again, or make the file with stages/assets/make/hand_landmarker.py"


class MediaPipeLandmarker:
    """The landmarker, loaded and warm. Use it from one thread at a time, and close it.

    Raises DependencyError, WeightsError where it cannot be loaded.
    """

    def __init__(
        self, *, video: bool, most: int, least_palm: float, least_presence: float, least_tracking: float
    ) -> None:
        try:
            import mediapipe
            from mediapipe.tasks.python import vision
        except ImportError as error:
            raise _missing_dependency(error) from error
        task_file = _read_task_file()
        self._mediapipe: Any = mediapipe
        self._video = video
        self._timestamp_ms = -1  # MediaPipe's has to rise with every picture
        options = vision.HandLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_buffer=task_file),
            running_mode=vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE,
            num_hands=most,
            min_hand_detection_confidence=least_palm,
            min_hand_presence_confidence=least_presence,
            min_tracking_confidence=least_tracking,
        )
        with chatter_held_back():
            try:
                self._landmarker = vision.HandLandmarker.create_from_options(options)
            except (OSError, RuntimeError, ValueError) as error:
                if type(error) is OSError:  # the loader's; MediaPipe's own are of OSError's children
                    raise _missing_dependency(error) from error
                raise WeightsError(f"{HAND_LANDMARKER}: MediaPipe cannot use it: {error}; {_MEND}") from error
            # The graph's threads start with the first picture.
            self.find(np.zeros((64, 64, 3), np.uint8), 0.0)

    @property
    def name(self) -> str:
        """The MediaPipe in use and how it runs."""
        mode = "VIDEO" if self._video else "IMAGE"
        return f"MediaPipe Hand Landmarker {self._mediapipe.__version__}, CPU, {mode} mode"

    def find(self, image: Image, now: float) -> list[HandBox]:
        """Return the hands in a picture (H, W, 3) RGB taken `now`, s, which rises from call to call."""
        picture = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        if self._video:
            self._timestamp_ms = max(self._timestamp_ms + 1, round(1000 * now))
            result = self._landmarker.detect_for_video(picture, self._timestamp_ms)
        else:
            result = self._landmarker.detect(picture)
        height, width = image.shape[:2]
        return [
            _hand_box(categories[0], joints, world, width, height)
            for categories, joints, world in zip(
                result.handedness, result.hand_landmarks, result.hand_world_landmarks, strict=True
            )
        ]

    def close(self) -> None:
        """Free the landmarker, and end its threads."""
        self._landmarker.close()


def _hand_box(category: Any, joints: Sequence[Any], world: Sequence[Any], width: int, height: int) -> HandBox:
    joints_2d = np.array([(joint.x * width, joint.y * height) for joint in joints], np.float32)
    side: Side = "left" if category.category_name == "Left" else "right"
    return HandBox(
        side=side,
        score=min(max(float(category.score), 0.0), 1.0),
        box=tight_box(joints_2d),
        joints_2d=joints_2d,
        joints_world=np.array([(joint.x, joint.y, joint.z) for joint in world], np.float32),
    )


def _read_task_file() -> bytes:
    """Return the task file, checked, because MediaPipe does not survive every damage. Raises WeightsError."""
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
