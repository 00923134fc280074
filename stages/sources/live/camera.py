"""A camera on this machine is named by number or device.

On Linux FFmpeg reads it (Video4Linux), which keeps the driver's time stamps; if that fails, and on other systems,
OpenCV does. Compressed pictures (MJPEG) are asked for, since raw ones do not fit through USB 2 at full rate.
"""

import logging
import re
import sys
import time
from collections.abc import Generator
from pathlib import Path

import av
import numpy as np

from hamba_core.errors import SourceError
from stages.packets import Choice
from stages.sources.decoding import PixelConverter, open_container, open_decoder, reason_of
from stages.sources.live.live_source import LiveSource, Picture, Session
from stages.sources.settings import SourceSettings

logger = logging.getLogger(__name__)

DEVICES = Path("/dev")
NAMES = Path("/sys/class/video4linux")
_OLDEST = 10.0  # s; a driver's stamp that is older, or in the future, is of another clock
_RETRIES = 5  # pictures OpenCV may fail to get in a row


def camera_source(text: str, settings: SourceSettings, stream: str) -> LiveSource:
    """Return the source for the camera with this number ("0") or device ("/dev/video0")."""
    return LiveSource(f"camera {text}", "camera", lambda: connect(text, settings), settings, stream)


def connect(text: str, settings: SourceSettings) -> Session:
    """Open a camera by the first way that works. Raises SourceError naming the cameras there are."""
    if sys.platform != "linux":
        return OpenCVSession(text, settings, f"FFmpeg is not asked on {sys.platform}")
    device = DEVICES / f"video{int(text)}" if text.isdecimal() else Path(text)
    if not device.exists():
        raise SourceError(
            f"camera {text}: expected a camera at {device}, found none there; {known_cameras()}. "
            "Plug it in, or, in a container, pass the device through"
        )
    try:
        return V4L2Session(device, settings)
    except (av.FFmpegError, OSError, SourceError) as error:
        reason = reason_of(error)
        logger.warning("camera %s: FFmpeg cannot open %s (%s); trying OpenCV", text, device, reason)
        return OpenCVSession(str(device.resolve()), settings, f"FFmpeg could not open it: {reason}")


def known_cameras() -> str:
    """Return the video devices of this machine in words."""
    devices = sorted(DEVICES.glob("video[0-9]*"), key=lambda path: (len(path.name), path.name))
    if not devices:
        return "there is no camera on this machine"
    return "there are " + ", ".join(f"{device.name.removeprefix('video')} ({_label(device)})" for device in devices)


def _label(device: Path) -> str:
    try:
        return (NAMES / device.name / "name").read_text(errors="replace").strip()
    except OSError:
        return str(device)


class V4L2Session(Session):
    """A camera read by FFmpeg. Raises FFmpegError or SourceError if it does not open."""

    format = "v4l2"

    def __init__(self, device: Path, settings: SourceSettings) -> None:
        wishes = {}
        if settings.camera.width and settings.camera.height:
            wishes["video_size"] = f"{settings.camera.width}x{settings.camera.height}"
        if settings.camera.rate:
            wishes["framerate"] = f"{settings.camera.rate:g}"
        attempts = ({**wishes, "input_format": "mjpeg"}, wishes)
        for options in attempts:
            try:
                timeout = (settings.live.open_timeout, settings.live.read_timeout)
                self._container = open_container(
                    str(device), settings, format=self.format, options=options, timeout=timeout
                )
                break
            except av.FFmpegError as error:
                if options is attempts[-1] or isinstance(error, (av.error.PermissionError, av.error.FileNotFoundError)):
                    raise
        try:
            self._decoder = open_decoder(self._container, settings, live=True)
        except SourceError:
            self._container.close()
            raise
        self._pixels = PixelConverter(settings.decoding.max_side)
        self.rate = self._decoder.rate
        self._device = device

    def pictures(self) -> Generator[Picture]:
        """Yield pictures as they are taken."""
        try:
            for frame in self._decoder.frames():
                image = self._pixels.picture(frame, self._decoder.pixel_aspect)
                yield Picture(image, frame.time, capture_time(frame.time, time.monotonic_ns()))
        except (av.FFmpegError, OSError) as error:
            raise SourceError(reason_of(error)) from error

    def close(self) -> None:
        """Let the camera go."""
        self._container.close()

    def choices(self) -> tuple[Choice, ...]:
        """Return the back-end and the camera's format."""
        return (Choice("camera", f"FFmpeg Video4Linux, {self._decoder.codec}", f"{self._device} opened"),)


class OpenCVSession(Session):
    """A camera read by OpenCV. Raises SourceError if it does not open."""

    def __init__(self, device: str, settings: SourceSettings, why: str) -> None:
        import cv2

        number = re.search(r"[0-9]+$", device)
        if number is None:
            raise SourceError(f"expected a camera that OpenCV can open by its number, found {device} ({why})")
        backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        logging_level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what it would print is in the error
        try:
            self._capture = cv2.VideoCapture(int(number.group()), backend)
        finally:
            cv2.utils.logging.setLogLevel(logging_level)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"expected a camera that opens, found that {device} does not ({why}; neither does OpenCV); "
                f"is it in use by another program, or are permissions missing (group video)? {known_cameras()}"
            )
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if settings.camera.width and settings.camera.height:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.camera.width)
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.camera.height)
        if settings.camera.rate:
            self._capture.set(cv2.CAP_PROP_FPS, settings.camera.rate)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0.01 <= rate <= 1000 else None
        self._why, self._backend = why, self._capture.getBackendName()

    def pictures(self) -> Generator[Picture]:
        """Yield pictures as they are taken."""
        import cv2

        failures = 0
        while failures < _RETRIES:
            got, image = self._capture.read()
            if not got:
                failures += 1
                continue
            failures = 0
            now = time.monotonic_ns()
            yield Picture(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), now / 1e9, now)
        raise SourceError("it gives no more pictures; was it unplugged?")

    def close(self) -> None:
        """Let the camera go."""
        self._capture.release()

    def choices(self) -> tuple[Choice, ...]:
        """Return the back-end."""
        return (Choice("camera", f"OpenCV {self._backend}", self._why, fallback=True),)


def capture_time(stamp: float | None, now_ns: int) -> int:
    """Return when a picture was taken: the driver's stamp if it is of the monotonic clock, else now."""
    if stamp is None:
        return now_ns
    taken_ns = round(stamp * 1e9)
    return taken_ns if 0 <= now_ns - taken_ns <= _OLDEST * 1e9 else now_ns
