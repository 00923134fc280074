"""Overlay: the source's pictures with the hands over them, as a video or one by one, and a contact sheet beside."""

from itertools import chain, count
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from pydantic import Field

from hamba_core.errors import DependencyError, PipelineError
from hamba_core.view import Intrinsics
from stages.common.files import create, write_whole
from stages.common.palette import HandColours
from stages.contract import Sink
from stages.packets import Choice, FrameMeta, FrameResult, Hand, HandTopology, Image, RunInfo
from stages.settings import StageSettings

if TYPE_CHECKING:
    from stages.overlay.video_file import VideoFile

_SMALLEST: Final = 16  # px; encoders refuse less
_EXTRAPOLATED: Final = 0.4  # opacity of hands that were not seen
_BACKGROUND: Final = (30, 32, 36)


class OverlaySettings(StageSettings):
    """Settings of what is drawn."""

    enabled: bool = Field(True, description="write the overlay video")
    meshes: bool = Field(True, description="draw the hands' surfaces")
    skeletons: bool = Field(True, description="draw bones and joints")
    labels: bool = Field(True, description="write side, track and quality beside each hand")
    opacity: float = Field(0.85, gt=0, le=1, description="opacity of the surfaces")
    longest_side: int = Field(1920, ge=64, le=8192, description="larger pictures are scaled down to this, px")


class Overlay(Sink):
    """It writes a video at `path`, which must not exist, and `preview.png` beside it.

    Of single pictures (`stills`) a video is of no use: each becomes a JPEG beside `path`, named for it and the picture,
    as in overlay-shot.jpg, and keeps its own size.
    """

    name = "overlay"
    spare = True

    def __init__(self, path: Path, settings: OverlaySettings | None = None, *, stills: bool = False) -> None:
        self._path = path
        self._stills = stills
        self._settings = settings or OverlaySettings()
        self._run: RunInfo | None = None
        self._video: VideoFile | None = None
        self._choices: tuple[Choice, ...] = ()
        self._colours = HandColours()
        self._names: set[str] = set()  # the names of pictures that are taken

    def open(self, run: RunInfo) -> None:
        try:
            from stages.overlay.contact_sheet import ContactSheet
            from stages.overlay.video_file import choose_encoder
        except ImportError as error:
            raise DependencyError(
                f"overlay: expected PyAV and OpenCV, found: {error}; "
                "install them (pip install av opencv-contrib-python), or leave the overlay out (--no-overlay)"
            ) from error

        if not self._stills:
            self._choices = (choose_encoder(),)
            create(self._path).close()
        self._sheet = ContactSheet()
        self._run = run

    def write(self, result: FrameResult) -> None:
        if self._run is None:
            raise PipelineError("overlay: expected to be opened before it is used, found it closed")
        frame = result.frame
        place = _Place.within(self._size(frame), frame.width, frame.height)
        picture = place.picture(result.image)
        self._draw(picture, result, place, self._run.topology)
        label = frame.name if self._stills and frame.name else f"{frame.pts:.2f} s"
        self._sheet.add(picture, label, hands=bool(result.hands))
        if self._video is not None:
            self._video.write(picture, frame.pts)
        else:
            write_whole(self._path.with_name(f"{self._path.stem}-{self._picture_name(frame)}.jpg"), _jpeg(picture))

    def _picture_name(self, frame: FrameMeta) -> str:
        """Return the picture's name without its ending; with it, or with a number, where another has taken that."""
        stem = PurePath(frame.name).stem or f"{frame.index + 1:04}"
        names = chain((stem, frame.name.replace("/", "-")), (f"{stem}-{number}" for number in count(2)))
        name = next(name for name in names if name and name not in self._names)
        self._names.add(name)
        return name

    def _size(self, frame: FrameMeta) -> tuple[int, int]:
        """Return the size of what is drawn: the frame's own for pictures; the first frame's, for good, for a video."""
        if self._video is None and not self._stills and self._run is not None:
            from stages.overlay.video_file import VideoFile

            size = _video_size(frame.width, frame.height, self._settings.longest_side)
            self._video = VideoFile(self._path, self._choices[0].chosen, size, self._run.source.fps)
        if self._video is not None:
            return self._video.size
        return _scaled_size(frame.width, frame.height, self._settings.longest_side)

    def close(self) -> None:
        if self._run is None:
            return
        self._run = None
        if self._video is None and not self._stills:
            self._path.unlink(missing_ok=True)  # it is empty: there was no frame
        try:
            if self._video is not None:
                self._video.close()
        finally:
            self._sheet.write(self._path.with_name("preview.png"))

    def choices(self) -> tuple[Choice, ...]:
        return self._choices

    def _draw(self, picture: Image, result: FrameResult, place: "_Place", topology: HandTopology) -> None:
        from stages.overlay.drawing import draw_label, draw_skeleton
        from stages.overlay.rendering import Mesh, draw_meshes

        coloured = list(zip(result.hands, self._colours.of(result.hands), strict=True))
        # What was seen over what was not, which lets the picture through.
        for seen, share in ((False, _EXTRAPOLATED), (True, 1.0)):
            drawn = [(hand, colour) for hand, colour in coloured if hand.seen is seen]
            if not drawn:
                continue
            canvas = picture if seen else picture.copy()
            if self._settings.meshes:
                meshes = [
                    Mesh(hand.vertices, topology.faces_of(hand.side), colour)
                    for hand, colour in drawn
                    if len(hand.vertices) == topology.vertices
                ]
                draw_meshes(canvas, meshes, place.camera(result.frame.camera), self._settings.opacity)
            for hand, colour in drawn:
                joints = (hand.joints_2d * place.scale + (place.left, place.top)).astype(np.float32)
                if self._settings.skeletons:
                    draw_skeleton(canvas, joints)
                if self._settings.labels:
                    draw_label(canvas, label_of(hand), joints, colour)
            if not seen:
                picture[:] = np.round(picture * (1 - share) + canvas * share).astype(np.uint8)


def label_of(hand: Hand) -> str:
    """Return side, track and quality; for a hand that was not seen, it says so."""
    name = f"{hand.side} {hand.track_id}"
    if not hand.seen:
        return f"{name}  not seen"
    return name if hand.quality is None else f"{name}  {hand.quality:.0%}"


def _jpeg(picture: Image) -> bytes:
    import cv2

    _, content = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    return content.tobytes()


def _scaled_size(width: int, height: int, longest_side: int) -> tuple[int, int]:
    scale = min(1.0, longest_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _video_size(width: int, height: int, longest_side: int) -> tuple[int, int]:
    """Return the size of the video for frames of this size: even, and neither too large nor too small to encode."""
    even_width, even_height = (2 * -(-side // 2) for side in _scaled_size(width, height, longest_side))
    return max(_SMALLEST, even_width), max(_SMALLEST, even_height)


class _Place(NamedTuple):
    """The place of a frame in the video: as large as fits, in the middle."""

    scale: float
    left: int  # px
    top: int
    width: int
    height: int
    video: tuple[int, int]

    @classmethod
    def within(cls, video: tuple[int, int], width: int, height: int) -> "_Place":
        spare = (video[0] - width, video[1] - height)
        # An odd picture is not enlarged by its last pixel.
        scale = 1.0 if all(0 <= pixels <= 1 for pixels in spare) else min(video[0] / width, video[1] / height)
        placed_width = max(1, min(video[0], round(width * scale)))
        placed_height = max(1, min(video[1], round(height * scale)))
        left, top = (video[0] - placed_width) // 2, (video[1] - placed_height) // 2
        return cls(scale, left, top, placed_width, placed_height, video)

    def picture(self, image: Image | None) -> Image:
        """Return a new picture of the video's size with the frame in its place; plain where there is no frame."""
        import cv2

        if image is None:
            return np.full((self.video[1], self.video[0], 3), _BACKGROUND, np.uint8)
        if image.shape[:2] != (self.height, self.width):
            way = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (self.width, self.height), interpolation=way), np.uint8)
        right, below = self.video[0] - self.width - self.left, self.video[1] - self.height - self.top
        kind = cv2.BORDER_REPLICATE if max(right, below) <= 1 else cv2.BORDER_CONSTANT
        return np.asarray(cv2.copyMakeBorder(image, self.top, below, self.left, right, kind), np.uint8)

    def camera(self, camera: Intrinsics) -> Intrinsics:
        """Return the camera that sees the video as this one sees the frame."""
        scaled = camera.scaled(self.scale, self.scale)
        return Intrinsics(scaled.fx, scaled.fy, scaled.cx + self.left, scaled.cy + self.top, camera.estimated)
