"""A frame maker turns a picture and its time into the packet that flows on."""

import logging

from hamba_core.text import counted
from hamba_core.view import Intrinsics
from stages.packets import Choice, Frame, FrameMeta, Image
from stages.sources.lens.intrinsics import CameraModel
from stages.sources.lens.lens_guess import LensGuess, guess_of_kind
from stages.sources.settings import SourceSettings

logger = logging.getLogger(__name__)


class FrameMaker:
    """Numbers the pictures of a source, gives each its camera and takes the lens's distortion out of it.

    `kind` is that of the source, as in `SourceInfo`. A stream may change its size midway: each frame then carries its
    own size and camera, and the change is logged.
    """

    def __init__(self, stream: str, settings: SourceSettings, kind: str = "file") -> None:
        self._stream = stream
        self._cameras = CameraModel(settings.lens, guess_of_kind(kind))
        self._size: tuple[int, int] | None = None
        self._resized: list[str] = []
        self.given = 0

    def assume(self, guess: LensGuess | None) -> None:
        """Take this lens, if there is one, unless a lens is given."""
        if guess is not None:
            self._cameras.assume(guess)

    def camera_of(self, image: Image, focal_35mm: float | None = None) -> Intrinsics:
        """Return a picture's camera, without counting it. Raises ConfigurationError if a given one does not fit."""
        return self._cameras.of(image.shape[1], image.shape[0], focal_35mm)

    def frame(
        self,
        image: Image,
        pts: float,
        captured_ns: int,
        focal_35mm: float | None = None,
        name: str = "",
        captured_by: str = "",
    ) -> Frame:
        """Return the next frame; `name` is that of the picture's file, `captured_by` how `captured_ns` is known."""
        height, width = image.shape[:2]
        if self._size is not None and self._size != (width, height):
            logger.info("frame %d: pictures are %dx%d from here on, not %dx%d", self.given, width, height, *self._size)
            self._resized.append(f"{width}x{height} from frame {self.given} on")
        self._size = (width, height)
        camera = self._cameras.of(width, height, focal_35mm)
        image = self._cameras.undistorted(image)
        meta = FrameMeta(
            self._stream, self.given, pts, captured_ns, width, height, camera, name, captured_by=captured_by
        )
        self.given += 1
        return Frame(meta, image)

    def resized(self) -> Choice | None:
        """Return how often pictures changed their size, and how at first; None if they did not."""
        if not self._resized:
            return None
        more = f", and {counted(len(self._resized) - 1, 'more change')}" if len(self._resized) > 1 else ""
        return Choice("size of the pictures", f"{self._resized[0]}{more}", "it changes there")

    def choice(self) -> Choice:
        """Return how the camera came to be known."""
        return self._cameras.choice()
