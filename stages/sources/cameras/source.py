"""A camera on this machine is named by its number, its name or its device.

FFmpeg reads it: Video4Linux on Linux, AVFoundation on macOS, DirectShow on Windows. If that fails, OpenCV does. In
what mode it is opened is chosen from what the camera says it can.
"""

import errno
import logging
from pathlib import Path
from typing import Final

import av

from hamba_core.errors import SourceError
from stages.sources.cameras import finding, video4linux
from stages.sources.cameras.finding import found_camera
from stages.sources.cameras.modes import Camera
from stages.sources.cameras.sessions import FFmpegSession, OpenCVSession
from stages.sources.decoding import reason_of
from stages.sources.live import LiveSource, Session
from stages.sources.settings import SourceSettings

logger = logging.getLogger(__name__)

NAMED: Final = "camera:"
"""What stands before a camera's name, or a part of it."""


def camera_source(text: str, settings: SourceSettings, stream: str) -> LiveSource:
    """Return the source for the camera with this number ("0"), device ("/dev/video0") or name ("camera:C920")."""
    text = text.removeprefix(NAMED)
    connection = _Connection(text, settings)
    return LiveSource(f"camera {text}", "camera", connection.open, settings, stream)


class _Connection:
    """It opens a camera, and the same one again after it was unplugged, whatever number it has then."""

    def __init__(self, text: str, settings: SourceSettings) -> None:
        self._text = text
        self._settings = settings
        self._known: Camera | None = None

    def open(self) -> Session:
        """Open the camera by the first way that works. Raises SourceError."""
        camera = found_camera(self._text, self._known)
        session = _opened(self._text, camera, self._settings)
        self._known = camera
        return session


def _opened(text: str, camera: Camera, settings: SourceSettings) -> Session:
    if camera.problem:
        raise SourceError(f"camera {text}: expected a camera that opens, found of {camera}: {camera.problem}")
    try:
        return FFmpegSession(camera, settings)
    except (av.FFmpegError, OSError, SourceError, ValueError) as error:
        number = getattr(error, "errno", None)
        if number == errno.EBUSY:
            raise SourceError(_busy(text, camera)) from error
        if number in (errno.EACCES, errno.EPERM):
            raise SourceError(
                f"camera {text}: expected a camera that opens, found that {camera.device} may not be opened: "
                f"{reason_of(error)}; {_permission()}"
            ) from error
        reason = reason_of(error)
        logger.warning("camera %s: FFmpeg cannot open %s (%s); trying OpenCV", text, camera.device, reason)
        return OpenCVSession(camera, settings, f"FFmpeg could not open it: {reason}")


def _busy(text: str, camera: Camera) -> str:
    users = video4linux.users_of(Path(camera.device)) if finding.SYSTEM == "linux" else []
    whom = f"in use by {', '.join(users)}" if users else "in use by another program"
    return (
        f"camera {text}: expected a camera that is free, found {camera} {whom}; one program at a time can have its "
        "pictures, so end the other; `hamba view` and `hamba web` show what a run publishes beside it"
    )


def _permission() -> str:
    if finding.SYSTEM == "linux":
        return "are you in the group video? sudo usermod -aG video $USER, then log in again"
    return "allow this terminal to use the camera in the system's settings, under privacy"
