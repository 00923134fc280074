"""A stand-in for Linux's side of cameras: it answers Video4Linux's questions for devices that a test describes.

It is written from linux/videodev2.h and packs the kernel's structures itself, byte for byte.
"""

import errno
from dataclasses import dataclass, field
from pathlib import Path
from struct import pack, pack_into, unpack_from

from stages.sources.cameras import video4linux

CAPTURE, METADATA, OUTPUT, CODEC = 0x0420_0001, 0x0480_0000, 0x0420_0002, 0x0420_8000
Size = tuple[int, int]
Interval = tuple[int, int]  # numerator, denominator, s


@dataclass
class Device:
    """One node. `formats` has for each format its sizes, and for each size its intervals, s."""

    name: str = "USB Camera"
    place: str = "usb-0000:00:14.0-1"
    can: int = CAPTURE
    whole: int | None = None  # what the whole device can; the node's own and the flag for it where left out
    formats: dict[str, dict[Size, list[Interval]]] = field(default_factory=dict)
    stepwise: dict[str, tuple[int, int, int, int, int, int]] = field(default_factory=dict)
    continuous: tuple[Interval, Interval] | None = None  # shortest and longest interval of every size
    refuses: int = 0  # errno of opening it


class Kernel(video4linux.Kernel):
    """Devices in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names, self.processes = folder / "dev", folder / "names", folder / "proc"
        self.nodes: dict[Path, Device] = {}
        self.opened: list[Path] = []
        self.descriptors: dict[int, Path] = {}
        self.folder.mkdir()

    def plug(self, number: int, device: Device) -> Path:
        """Put a device there."""
        path = self.folder / f"video{number}"
        path.touch()
        self.nodes[path] = device
        (self.names / path.name).mkdir(parents=True, exist_ok=True)
        (self.names / path.name / "name").write_text(device.name + "\n")
        return path

    def unplug(self, number: int) -> None:
        """Take it away."""
        path = self.folder / f"video{number}"
        path.unlink()
        del self.nodes[path]

    def open(self, device: Path) -> int:
        node = self.nodes.get(device)
        if node is None:
            return super().open(device)
        if node.refuses:
            raise OSError(node.refuses, "refused")
        descriptor = 1000 + len(self.opened)
        self.opened.append(device)
        self.descriptors[descriptor] = device
        return descriptor

    def close(self, descriptor: int) -> None:
        if self.descriptors.pop(descriptor, None) is None:
            super().close(descriptor)

    def ioctl(self, descriptor: int, request: int, data: bytearray) -> None:
        if descriptor not in self.descriptors:
            return super().ioctl(descriptor, request, data)
        node = self.nodes[self.descriptors[descriptor]]
        size, kind, number = request >> 16 & 0x3FFF, request >> 8 & 0xFF, request & 0xFF
        if kind != ord("V") or size != len(data):
            raise OSError(errno.ENOTTY, "not of this device")
        answer = {0: self._capabilities, 2: self._format, 74: self._size, 75: self._interval}.get(number)
        if answer is None:
            raise OSError(errno.ENOTTY, "not known")
        answer(node, data)
        return None

    def _capabilities(self, node: Device, data: bytearray) -> None:
        whole = 0x8000_0000 | node.can if node.whole is None else node.whole
        named = (b"uvcvideo", node.name.encode()[:31], node.place.encode()[:31])
        data[:] = pack("=16s32s32sIII12x", *named, 0x060100, whole, node.can)

    def _format(self, node: Device, data: bytearray) -> None:
        number, kind = unpack_from("=II", data)
        names = [*node.formats, *node.stepwise]
        if kind != 1 or number >= len(names):
            raise OSError(errno.EINVAL, "no more")
        data[:] = pack("=III32s4s16x", number, kind, 0, b"a format", names[number].encode())

    def _size(self, node: Device, data: bytearray) -> None:
        number, code = unpack_from("=I4s", data)
        if (steps := node.stepwise.get(code.decode())) is not None:
            if number:
                raise OSError(errno.EINVAL, "no more")
            pack_into("=I6I", data, 8, 3, *steps)
            return
        sizes = list(node.formats[code.decode()])
        if number >= len(sizes):
            raise OSError(errno.EINVAL, "no more")
        pack_into("=III", data, 8, 1, *sizes[number])

    def _interval(self, node: Device, data: bytearray) -> None:
        number, code, width, height = unpack_from("=I4sII", data)
        if node.continuous is not None:
            if number:
                raise OSError(errno.EINVAL, "no more")
            (a, b), (c, d) = node.continuous
            pack_into("=I6I", data, 16, 2, a, b, c, d, 1, 1)
            return
        intervals = node.formats.get(code.decode(), {}).get((width, height), [])
        if number >= len(intervals):
            raise OSError(errno.EINVAL, "no more")
        pack_into("=III", data, 16, 1, *intervals[number])


def webcam(name: str = "HD Webcam C920", place: str = "usb-0000:00:14.0-1") -> Device:
    """A common webcam: JPEG at full rate in every size, raw at full rate in small ones only."""

    def at(*rates: int) -> list[Interval]:
        return [(1, rate) for rate in rates]

    raw = {(640, 480): at(30, 15), (1280, 720): at(10, 5), (1920, 1080): at(5)}
    jpeg = {(640, 480): at(30, 15), (1280, 720): at(60, 30), (1920, 1080): at(30)}
    return Device(name, place, formats={"YUYV": raw, "MJPG": jpeg, "H264": {(1920, 1080): at(30)}})
