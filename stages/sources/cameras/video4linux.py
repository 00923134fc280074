"""Linux tells what its video devices are: Video4Linux's questions, asked of the kernel.

A webcam has several device nodes, of which one gives pictures; others carry metadata, and codecs and outputs of the
machine have nodes as well. `VIDIOC_QUERYCAP` tells them apart. The structures are those of linux/videodev2.h.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from struct import pack_into, unpack_from
from typing import Final

from stages.sources.cameras.modes import Camera, Mode

_READ, _WRITE = 2, 1


def _request(direction: int, number: int, size: int) -> int:
    """Return the kernel's number of a question, as its macro _IOC makes it on all but a few old processors."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


QUERYCAP: Final = _request(_READ, 0, 104)
ENUM_FMT: Final = _request(_READ | _WRITE, 2, 64)
ENUM_FRAMESIZES: Final = _request(_READ | _WRITE, 74, 44)
ENUM_FRAMEINTERVALS: Final = _request(_READ | _WRITE, 75, 52)

CAPTURE, CAPTURE_PLANES = 0x1, 0x1000
METADATA: Final = 0x0080_0000
_CODEC: Final = 0x4000 | 0x8000  # memory to memory
_STREAMS: Final = 0x0100_0000 | 0x0400_0000
_OWN_NODE: Final = 0x8000_0000  # what this node can is told apart from what the whole device can

_DISCRETE: Final = 1
_MOST: Final = 256  # answers to one question; a driver that never ends its list is not asked for ever

FORMATS: Final = {
    "MJPG": ("mjpeg", 0),
    "JPEG": ("mjpeg", 0),
    "H264": ("h264", 0),
    "HEVC": ("hevc", 0),
    "YUYV": ("yuyv422", 16),
    "UYVY": ("uyvy422", 16),
    "NV12": ("nv12", 12),
    "YU12": ("yuv420p", 12),
    "422P": ("yuv422p", 16),
    "RGB3": ("rgb24", 24),
    "BGR3": ("bgr24", 24),
    "GREY": ("gray", 8),
}
"""What FFmpeg calls the formats that it reads from a device, and bits of a pixel; raw data of sensors are not among
them, since their colours are made elsewhere."""

_SIZES: Final = ((320, 240), (640, 480), (800, 600), (1280, 720), (1280, 960), (1920, 1080), (2560, 1440), (3840, 2160))
_RATES: Final = (120.0, 90.0, 60.0, 30.0, 25.0, 15.0, 10.0, 5.0)


class Kernel:
    """The kernel's side: which devices there are, and what they answer. Tests put another in its place."""

    folder = Path("/dev")
    names = Path("/sys/class/video4linux")
    processes = Path("/proc")

    def devices(self) -> list[Path]:
        """Return all video devices, in the order of their numbers."""
        found = [path for path in self.folder.glob("video*") if path.name.removeprefix("video").isdecimal()]
        return sorted(found, key=lambda path: int(path.name.removeprefix("video")))

    def open(self, device: Path) -> int:
        """Return a descriptor of a device. Raises OSError."""
        return os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(self, descriptor: int, request: int, data: bytearray) -> None:
        """Ask a question; the answer is written into `data`. Raises OSError."""
        import fcntl

        fcntl.ioctl(descriptor, request, data)

    def close(self, descriptor: int) -> None:
        """Close it."""
        os.close(descriptor)


KERNEL = Kernel()


def cameras() -> list[Camera]:
    """Return the devices that give pictures, each with its modes. Raises nothing: what is wrong is in `problem`."""
    found = []
    for device in KERNEL.devices():
        camera = examined(device)
        if isinstance(camera, Camera):
            found.append(camera)
    return found


def examined(device: Path) -> Camera | str:
    """Return the camera at a device, or in words what else is there."""
    number = int(device.name.removeprefix("video"))
    try:
        descriptor = KERNEL.open(device)
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.ENXIO, errno.ENOENT):
            return "a device that is not plugged in"
        hint = "; are you in the group video? sudo usermod -aG video $USER" if error.errno == errno.EACCES else ""
        return Camera(number, _label(device), str(device), problem=f"{os.strerror(error.errno or 0).lower()}{hint}")
    try:
        data = bytearray(104)
        try:
            KERNEL.ioctl(descriptor, QUERYCAP, data)
        except OSError as error:
            return f"no video device ({os.strerror(error.errno or 0).lower()})"
        name, place = _text(data[16:48]), _text(data[48:80])
        whole, own = unpack_from("=II", data, 84)
        can = own if whole & _OWN_NODE else whole
        if not can & (CAPTURE | CAPTURE_PLANES):
            if can & METADATA:
                return f"metadata of the camera {name}, no pictures"
            return f"{name}, which gives no pictures"
        if can & _CODEC or not can & _STREAMS:
            return f"{name}, which is no camera"
        kind = 1 if can & CAPTURE else 9
        modes = tuple(_modes(descriptor, kind))
        problem = ""
        # One that tells no format at all may give pictures nevertheless; a virtual one does once its program runs.
        if modes and not any(mode.ffmpeg for mode in modes):
            formats = ", ".join(sorted({mode.format for mode in modes}))
            problem = (
                f"it gives no format that FFmpeg reads (found {formats}); where it is a sensor on a ribbon cable, "
                "its own program (rpicam-vid, libcamera) makes pictures of it: stream them, and give the address"
            )
        return Camera(number, name or _label(device), str(device), modes, place, problem)
    finally:
        KERNEL.close(descriptor)


def users_of(device: Path) -> list[str]:
    """Return the programs, as far as this user may see them, that have a device open: name and process id."""
    users = []
    own = str(os.getpid())
    for process in KERNEL.processes.glob("[0-9]*"):
        if process.name == own:
            continue
        try:
            held = any(link.readlink() == device for link in (process / "fd").iterdir())
            if held:
                users.append(f"{(process / 'comm').read_text(errors='replace').strip()} (process {process.name})")
        except OSError:  # of another user, or over
            continue
    return users


def _modes(descriptor: int, kind: int) -> Iterator[Mode]:
    for number in range(_MOST):
        data = bytearray(64)
        pack_into("=II", data, 0, number, kind)
        if not _answered(descriptor, ENUM_FMT, data):
            return
        (code,) = unpack_from("=I", data, 44)
        name = _text(code.to_bytes(4, "little"))
        ffmpeg, bits = FORMATS.get(name, ("", 0))
        # Old drivers know no question about sizes.
        for width, height in _sizes(descriptor, code) or [(0, 0)]:
            yield Mode(name, width, height, _rates(descriptor, code, width, height), ffmpeg, bits)


def _sizes(descriptor: int, code: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in range(_MOST):
        data = bytearray(44)
        pack_into("=II", data, 0, number, code)
        if not _answered(descriptor, ENUM_FRAMESIZES, data):
            break
        (form,) = unpack_from("=I", data, 8)
        if form == _DISCRETE:
            found.append(unpack_from("=II", data, 12))
            continue
        least_width, most_width, step_width, least_height, most_height, step_height = unpack_from("=6I", data, 12)
        found += [
            (width, height)
            for width, height in (*_SIZES, (most_width, most_height))
            if least_width <= width <= most_width
            and least_height <= height <= most_height
            and (width - least_width) % max(step_width, 1) == 0
            and (height - least_height) % max(step_height, 1) == 0
        ]
        break
    return sorted({size for size in found if min(size) > 0}, key=lambda size: (size[0] * size[1], size))


def _rates(descriptor: int, code: int, width: int, height: int) -> tuple[float, ...]:
    found: set[float] = set()
    for number in range(_MOST):
        data = bytearray(52)
        pack_into("=IIII", data, 0, number, code, width, height)
        if not _answered(descriptor, ENUM_FRAMEINTERVALS, data):
            break
        (form,) = unpack_from("=I", data, 16)
        shortest, of_shortest, longest, of_longest = unpack_from("=4I", data, 20)
        if shortest and of_shortest:
            found.add(of_shortest / shortest)
        if form != _DISCRETE:
            if longest and of_longest and shortest and of_shortest:
                least, most = of_longest / longest, of_shortest / shortest
                found.update((least, *(rate for rate in _RATES if least <= rate <= most)))
            break
    return tuple(sorted((round(rate, 3) for rate in found), reverse=True))


def _answered(descriptor: int, request: int, data: bytearray) -> bool:
    """Return whether there is an answer; a list ends with an error."""
    try:
        KERNEL.ioctl(descriptor, request, data)
    except OSError:
        return False
    return True


def _label(device: Path) -> str:
    try:
        return (KERNEL.names / device.name / "name").read_text(errors="replace").strip()
    except OSError:
        return device.name


def _text(data: bytes | bytearray) -> str:
    return bytes(data).split(b"\0")[0].decode("utf-8", "replace").strip()
