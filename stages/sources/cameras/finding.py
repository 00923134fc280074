"""Which cameras this machine has, and which of them a number, a name or a device means."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import av

from hamba_core.errors import SourceError
from stages.sources.cameras import video4linux
from stages.sources.cameras.modes import Camera

logger = logging.getLogger(__name__)

SYSTEM: str = sys.platform
"""As Python names it."""

INPUTS: Final = {"darwin": "avfoundation", "win32": "dshow"}
"""FFmpeg's input for cameras on systems other than Linux."""


def list_cameras() -> list[Camera]:
    """Return the cameras of this machine, in the order of their numbers.

    On Linux each comes with its modes. On macOS and Windows FFmpeg tells names alone.
    """
    if SYSTEM == "linux":
        return video4linux.cameras()
    name = INPUTS.get(SYSTEM)
    if name is None:
        return []
    try:
        found = av.enumerate_input_devices(name)
    except (av.FFmpegError, OSError, ValueError) as error:
        logger.info("FFmpeg lists no cameras (%s): %s", name, error)
        return []
    pictures = [device for device in found if not device.media_types or "video" in device.media_types]
    return [
        Camera(number, device.description or device.name, device.name)
        for number, device in enumerate(pictures)
        if not device.description.startswith("Capture screen")
    ]


def in_words(cameras: Sequence[Camera]) -> str:
    """Return the cameras in words."""
    if not cameras:
        return "there is no camera on this machine"
    return "there are " + ", ".join(str(camera) for camera in cameras)


def camera_called(text: str, cameras: Sequence[Camera] | None = None) -> Camera | None:
    """Return the one camera of this name, or with this in its name; None where there is none.

    Raises SourceError where there are several.
    """
    cameras = list_cameras() if cameras is None else cameras
    wanted = text.strip().casefold()
    same = [camera for camera in cameras if camera.name.casefold() == wanted]
    alike = same or [camera for camera in cameras if wanted and wanted in camera.name.casefold()]
    if len(alike) > 1:
        raise SourceError(
            f"camera {text}: expected the name of one camera, found {len(alike)}: "
            + ", ".join(str(camera) for camera in alike)
            + "; give its number, or on Linux its path in /dev/v4l/by-path, which stays with the socket"
        )
    return alike[0] if alike else None


def found_camera(text: str, known: Camera | None) -> Camera:
    """Return the camera that a number, a device's path or a name means.

    `known` is the one that it meant before it was unplugged: it may come back with another number. Raises SourceError
    naming the cameras there are, or what else is there.
    """
    cameras = list_cameras()
    if known is not None and (back := _back(known, cameras)) is not None:
        return back
    if text.isdecimal():
        camera = next((camera for camera in cameras if camera.number == int(text)), None)
        device = video4linux.KERNEL.folder / f"video{int(text)}"
    elif Path(text).is_absolute():
        device = Path(text).resolve()
        camera = next((camera for camera in cameras if camera.device == str(device)), None)
    else:
        camera, device = camera_called(text, cameras), None
    if camera is not None:
        return camera
    if SYSTEM != "linux" and text.isdecimal() and not cameras:
        return Camera(int(text), f"camera {int(text)}", text)  # the system may have one that FFmpeg does not list
    if SYSTEM == "linux" and device is not None and device.exists():
        what = video4linux.examined(device) if device in video4linux.KERNEL.devices() else "something else"
        raise SourceError(f"camera {text}: expected a camera at {device}, found {what}; {in_words(cameras)}")
    where = f"at {device}" if device is not None and SYSTEM == "linux" else "of that name or number"
    raise SourceError(
        f"camera {text}: expected a camera {where}, found none there; {in_words(cameras)}. "
        "Plug it in, or, in a container, pass the device through"
    )


def _back(known: Camera, cameras: Sequence[Camera]) -> Camera | None:
    """Return the same camera: of that name, in the same place if there are several of it."""
    same = [camera for camera in cameras if camera.name == known.name]
    here = [camera for camera in same if camera.place == known.place and camera.device == known.device]
    place = [camera for camera in same if camera.place == known.place]
    return next(iter((*here, *place, *(same if len(same) == 1 else ()))), None)
