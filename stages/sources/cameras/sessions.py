"""A session is one time that a camera is open, by FFmpeg or by OpenCV."""

import logging
import re
import time
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any, Final

import av
import numpy as np
from av.video.stream import VideoStream

from hamba_core.errors import SourceError
from stages.packets import Choice
from stages.sources.cameras import finding
from stages.sources.cameras.modes import USUAL_RATE, USUAL_SIZE, Camera, mode_for
from stages.sources.decoding import PixelConverter, open_container, open_decoder, reason_of, stamp_of
from stages.sources.live import Decoded, Packet, Picture, PictureSession, Session
from stages.sources.settings import CameraSettings, SourceSettings

logger = logging.getLogger(__name__)

_OLDEST: Final = 10.0  # s; a driver's stamp that is older, or in the future, is of another clock
_RETRIES: Final = 5  # pictures OpenCV may fail to get in a row


class FFmpegSession(Session):
    """A camera read by FFmpeg. Raises FFmpegError, OSError or SourceError if it does not open."""

    def __init__(self, camera: Camera, settings: SourceSettings) -> None:
        self.format = finding.INPUTS.get(finding.SYSTEM, "v4l2")
        attempts = _attempts(camera, settings.camera, self.format)
        for options in attempts:
            try:
                timeout = (settings.live.open_timeout, settings.live.read_timeout)
                self._container = open_container(
                    _address(camera, self.format), settings, format=self.format, options=options, timeout=timeout
                )
                break
            except av.FFmpegError as error:
                refused = isinstance(error, av.error.PermissionError | av.error.FileNotFoundError) or error.errno == 16
                if options is attempts[-1] or refused:
                    raise
                logger.info("camera %s: not with %s (%s)", camera, options, reason_of(error))
        try:
            self._decoder = open_decoder(self._container, settings, live=True)
        except SourceError:
            self._container.close()
            raise
        self._pixels = PixelConverter(settings.decoding.max_side)
        self.rate = self._decoder.rate
        self.intra = self._decoder.intra
        self._camera = camera

    def packets(self) -> Generator[Packet]:
        """Yield packets as they come, each with the driver's time if that is of this machine's clock.

        What FFmpeg gives are the driver's own buffers: there are few of them, and they are gone once the device is
        closed. So each is copied at once, and nothing of FFmpeg's is held on to, not by an error's traceback either.
        """
        demuxed = self._container.demux(self._decoder.stream)
        while True:
            try:
                packet = _own(next(demuxed), self._decoder.stream)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                raise SourceError(f"{reason_of(error)}; was it unplugged?") from error.with_traceback(None)
            now_ns, stamp = time.monotonic_ns(), stamp_of(packet)
            yield Packet(
                packet,
                now_ns,
                stamp,
                taken_ns=capture_time(stamp, now_ns),
                key=packet.is_keyframe or self.intra,
                size=packet.size,
            )

    def decode(self, packet: Packet, *, hurry: bool) -> Iterator[Decoded]:
        """Yield the pictures that come out."""
        if packet.after_gap:
            self._decoder.begin_anew()
        for frame in self._decoder.decode(packet.data, hurry=hurry):
            image = partial(self._pixels.picture_or_reason, frame, self._decoder.pixel_aspect)
            yield Decoded(frame.time, image, frame.key_frame or self.intra)

    def close(self) -> None:
        """Let the camera go."""
        self._container.close()

    def choices(self) -> tuple[Choice, ...]:
        """Return the back-end and the camera's format."""
        return (Choice("camera", f"FFmpeg {self.format}, {self._decoder.codec}", f"{self._camera.device} opened"),)


def _own(packet: "av.Packet[VideoStream]", stream: VideoStream) -> "av.Packet[VideoStream]":
    """Return a copy with memory of its own."""
    if stream.codec_context.name == "wrapped_avframe":  # a filter's picture, which is no bytes and belongs to nobody
        return packet
    copied: av.Packet[Any] = av.Packet(bytes(packet)) if packet.size else av.Packet()
    copied.stream, copied.time_base = stream, packet.time_base
    copied.pts, copied.dts, copied.duration = packet.pts, packet.dts, packet.duration
    copied.is_keyframe = packet.is_keyframe
    return copied


def _address(camera: Camera, format: str) -> str:
    """Return what FFmpeg calls the camera."""
    if format == "avfoundation":
        return f"{camera.number}:none"
    return f"video={camera.device}" if format == "dshow" else camera.device


def _attempts(camera: Camera, wishes: CameraSettings, format: str) -> list[dict[str, str]]:
    """Return the options with which FFmpeg is to open a camera, one after another until one is taken."""
    taken = mode_for(camera.modes, wishes)
    plain: dict[str, str] = {}
    if wishes.width and wishes.height:
        plain["video_size"] = f"{wishes.width}x{wishes.height}"
    if wishes.rate:
        plain["framerate"] = f"{wishes.rate:g}"
    if taken is not None:
        mode, rate = taken
        exact = {"input_format": mode.ffmpeg, "video_size": f"{mode.width}x{mode.height}"}
        if rate is not None:
            exact["framerate"] = f"{rate:g}"
        return [exact, plain] if plain else [exact, {}]
    if format == "v4l2":
        return [{**plain, "input_format": "mjpeg"}, plain]
    # These two refuse what a camera does not have to the letter, and their own default rate is what few have.
    usual = {"video_size": f"{USUAL_SIZE[0]}x{USUAL_SIZE[1]}", "framerate": f"{USUAL_RATE:g}", **plain}
    compressed = [{**usual, "vcodec": "mjpeg"}] if format == "dshow" else []
    rate_alone = {"framerate": usual["framerate"]}
    attempts = [*compressed, usual, plain, rate_alone, {}]
    return [options for number, options in enumerate(attempts) if options not in attempts[:number]]


class OpenCVSession(PictureSession):
    """A camera read by OpenCV. Raises SourceError if it does not open."""

    def __init__(self, camera: Camera, settings: SourceSettings, why: str) -> None:
        import cv2

        backends = {"linux": (cv2.CAP_V4L2,), "win32": (cv2.CAP_DSHOW, cv2.CAP_MSMF), "darwin": (cv2.CAP_AVFOUNDATION,)}
        logging_level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what it would print is in the error
        try:
            for backend in backends.get(finding.SYSTEM, (cv2.CAP_ANY,)):
                self._capture = cv2.VideoCapture(_number(camera), backend)
                if self._capture.isOpened():
                    break
                self._capture.release()
        finally:
            cv2.utils.logging.setLogLevel(logging_level)
        if not self._capture.isOpened():
            raise SourceError(
                f"expected a camera that opens, found that {camera.device} does not ({why}; neither does OpenCV); "
                "is it in use by another program, or are permissions missing?"
            )
        taken = mode_for(camera.modes, settings.camera)
        width, height = settings.camera.width or USUAL_SIZE[0], settings.camera.height or USUAL_SIZE[1]
        rate: float | None = settings.camera.rate or USUAL_RATE
        fourcc = "MJPG"
        if taken is not None:
            width, height, fourcc, rate = taken[0].width, taken[0].height, taken[0].format, taken[1]
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if rate:
            self._capture.set(cv2.CAP_PROP_FPS, rate)
        given = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = given if 0.01 <= given <= 1000 else None
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


def _number(camera: Camera) -> int:
    """Return the number by which OpenCV knows a camera: on Linux that of its device."""
    digits = re.search(r"/video([0-9]+)$", camera.device)
    return int(digits.group(1)) if digits else camera.number


def capture_time(stamp: float | None, now_ns: int) -> int | None:
    """Return when a picture was taken, by the driver's stamp; None if that is not of the monotonic clock."""
    if stamp is None:
        return None
    taken_ns = round(stamp * 1e9)
    return taken_ns if 0 <= now_ns - taken_ns <= _OLDEST * 1e9 else None
