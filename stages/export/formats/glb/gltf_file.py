"""A binary glTF 2.0 file (https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html), written as a stream.

In such a file the JSON comes first and is known last. So numbers go into a temporary file as they come, and are put
behind the JSON in the end; memory holds the JSON's text alone.
"""

import os
import shutil
import struct
from collections.abc import Iterable
from io import FileIO
from math import inf, prod
from typing import Any, BinaryIO, Final, Literal

import msgspec
import numpy as np

from hamba_core.arrays import AnyArray
from hamba_core.errors import OutputError

Kind = Literal["accessors", "animations", "bufferViews", "materials", "meshes", "nodes", "scenes", "skins"]

VERTEX_DATA: Final = 34962
INDICES: Final = 34963

_LARGEST: Final = 2**32 - 1  # bytes: the file states its length in 32 bits
_COMPONENTS: Final = {np.dtype(np.uint8): 5121, np.dtype(np.uint32): 5125, np.dtype(np.float32): 5126}
_TYPES: Final = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


class GltfFile:
    """What a file will hold. An element is known by its index among those of its kind.

    `spool` is an empty temporary file. Raises OutputError where the file would be larger than the format allows.
    """

    def __init__(self, spool: FileIO) -> None:
        self._spool = spool
        self._size = 0
        self._elements: dict[Kind, list[bytes]] = {}

    def add(self, kind: Kind, **element: Any) -> int:
        """Add an element and return its index; its properties that are None are left out."""
        elements = self._elements.setdefault(kind, [])
        elements.append(msgspec.json.encode({key: value for key, value in element.items() if value is not None}))
        return len(elements) - 1

    def array(self, values: AnyArray, target: int | None = None, *, bounds: bool = False) -> int:
        """Write the accessor of an array (N, ...) now and return its index; `bounds` states its least and most."""
        return self.arrays(values[None], target, bounds=bounds)[0]

    def arrays(self, values: AnyArray, target: int | None = None, *, bounds: bool = False) -> list[int]:
        """Write the accessors of K arrays (K, N, ...) that lie one behind the other now, and return their indices."""
        start, view = self._reserve(values.nbytes, target, values[0, 0].nbytes if target == VERTEX_DATA else None)
        self._write(start, values)
        accessors = []
        for i, array in enumerate(values):
            accessors.append(
                self._accessor(
                    array.dtype, array.shape, view, byteOffset=i * array.nbytes,
                    min=np.atleast_1d(array.min(0)).tolist() if bounds else None,
                    max=np.atleast_1d(array.max(0)).tolist() if bounds else None,
                )
            )  # fmt: skip
        return accessors

    def column(self, *shape: int) -> "Column":
        """Return an accessor of float32 of this shape (N, ...) that is filled later, block by block."""
        start, view = self._reserve(4 * prod(shape))
        return Column(self, self._accessor(np.dtype(np.float32), shape, view), start)

    def check_room(self, size: int) -> None:
        """Raise OutputError where so many bytes more are too many for one file."""
        if self._size + size > _LARGEST:
            raise OutputError(
                f"expected at most {_LARGEST / 1e9:.1f} GB, which is what a GLB file can hold, found "
                f"{(self._size + size) / 1e9:.1f} GB; choose a part with --start and --end, or fewer frames with --rate"
            )

    def save(self, file: BinaryIO, **top: Any) -> None:
        """Write everything; `top` are the document's properties besides its lists of elements."""
        size = -(-self._size // 4) * 4
        self._spool.truncate(size)
        properties = [msgspec.json.encode(top)[1:-1], b'"buffers":[{"byteLength":%d}]' % size]
        properties += [b'"%s":[%s]' % (kind.encode(), b",".join(items)) for kind, items in self._elements.items()]
        text = b"{" + b",".join(properties) + b"}"
        text += b" " * (-len(text) % 4)
        length = 28 + len(text) + size
        self.check_room(length - self._size)
        file.write(struct.pack("<4sII", b"glTF", 2, length))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", size, b"BIN\0"))
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, file, 1 << 20)

    def _accessor(self, dtype: np.dtype[Any], shape: tuple[int, ...], view: int, **more: Any) -> int:
        kind = {"componentType": _COMPONENTS[dtype], "type": _TYPES[shape[1:]]}
        return self.add("accessors", bufferView=view, count=shape[0], **kind, **more)

    def _reserve(self, size: int, target: int | None = None, stride: int | None = None) -> tuple[int, int]:
        """Return where so many bytes start, aligned, and the index of their view."""
        self.check_room(size)
        start = -(-self._size // 4) * 4
        self._size = start + size
        view = self.add("bufferViews", buffer=0, byteOffset=start, byteLength=size, byteStride=stride, target=target)
        return start, view

    def _write(self, start: int, values: AnyArray) -> None:
        data = np.ascontiguousarray(values).data.cast("B")
        while data:  # the system may take a part of it
            written = os.pwrite(self._spool.fileno(), data, start)
            data, start = data[written:], start + written


class Column:
    """An accessor that is filled block by block. `GltfFile.column` makes it."""

    def __init__(self, file: GltfFile, accessor: int, start: int) -> None:
        self.accessor = accessor
        self._file, self._end = file, start

    def append(self, block: AnyArray) -> None:
        """Append the next elements (N, ...)."""
        values = block.astype(np.float32)
        self._file._write(self._end, values)
        self._end += values.nbytes


class Animation:
    """What moves in a file, over seconds."""

    def __init__(self, file: GltfFile) -> None:
        self._file = file
        self._samplers: list[dict[str, Any]] = []
        self._channels: list[dict[str, Any]] = []

    def move(self, node: int, path: str, times: int, values: int, interpolation: str = "LINEAR") -> None:
        """Let a node's rotation, translation, scale or weights take these values; both are accessors."""
        self._channels.append({"sampler": len(self._samplers), "target": {"node": node, "path": path}})
        self._samplers.append({"input": times, "output": values, "interpolation": interpolation})

    def show(self, node: int, spans: Iterable[tuple[float, float]]) -> None:
        """Let a node be there from and until these seconds alone, and be scaled to nothing else.

        glTF's animations know no visibility; its specification names this as the way to hide what is skinned.
        """
        keys = [(0.0, 0.0)]
        for comes, goes in spans:
            keys += [(comes, 1.0), (goes, 0.0)]
        if keys[1][0] <= 0:
            keys.pop(0)
        if keys[-1][0] == inf:
            keys.pop()
        if len(keys) > 1:
            # A hair early, so that a frame's second in float64 is not before it.
            seconds = np.nextafter(np.array([at for at, _ in keys], np.float32), np.float32(0))
            times = self._file.array(seconds, bounds=True)
            scales = self._file.array(np.array([[size] * 3 for _, size in keys], np.float32))
            self.move(node, "scale", times, scales, "STEP")

    def save(self, name: str) -> None:
        """Add all this to the file."""
        if self._channels:
            self._file.add("animations", name=name, samplers=self._samplers, channels=self._channels)
