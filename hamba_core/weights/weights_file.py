"""The file that a checkpoint is converted to once: safetensors, which is mapped into memory rather than read.

It holds the release's tensors by their own names in float32; the large matrices a second time in bfloat16, so that
neither precision has to be made when a program starts; the hand model's arrays, if it was given; and the network's
configuration.
"""

import json
import math
import struct
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hamba_core.errors import ConfigurationError, OutputError, WeightsError, first_line
from hamba_core.network import HambaConfiguration
from hamba_core.untrusted import parse_json

FORMAT: Final = "hamba-stream weights 1"
"""The name of the format, which stands in the file."""

HAND: Final = "hand/"
BFLOAT16: Final = "bfloat16/"
"""Prefixes of the names of the hand model's arrays, and of the second copies."""

_AGAIN: Final = "convert the checkpoint again: hamba weights import"
_DTYPE_NAMES: Final = {
    torch.float64: "F64",
    torch.int64: "I64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
}


class ConvertedFile:
    """A converted file."""

    def __init__(self, path: Path) -> None:
        """Look at its header. Raises WeightsError."""
        self.path, self.configured_by, self.origin = path, str(path), "converted file"
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                self._shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise WeightsError(
                f"{path}: expected converted weights, found a file that is cut short or foreign "
                f"({first_line(error)}); {_AGAIN}"
            ) from error
        if metadata.get("format") != FORMAT:
            raise WeightsError(
                f"{path}: expected weights that hamba weights import made ({FORMAT!r}), found format "
                f"{metadata.get('format')!r}; {_AGAIN}"
            )
        try:
            self.configuration = HambaConfiguration.from_dict(parse_json(metadata["configuration"]))
        except (KeyError, ValueError, ConfigurationError) as error:
            raise WeightsError(
                f"{path}: expected the network's configuration, found: {first_line(error)}; {_AGAIN}"
            ) from error

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return shapes of the network's tensors."""
        return {name: shape for name, shape in self._shapes.items() if not name.startswith((HAND, BFLOAT16))}

    def read(self, dtypes: Mapping[str, torch.dtype]) -> dict[str, Tensor]:
        """Return these tensors, each in its dtype, as views of the mapped file where they are stored so.

        What one call gives is one mapping: its memory is free again once all of it is let go.
        """
        with safe_open(self.path, "pt") as file:
            return {name: self._tensor(file, name, dtype) for name, dtype in dtypes.items()}

    def drop(self, names: Iterable[str]) -> None:
        """Do nothing, since no tensors are held here."""

    def _tensor(self, file: Any, name: str, dtype: torch.dtype) -> Tensor:
        second = BFLOAT16 + name
        tensor: Tensor = file.get_tensor(second if dtype == torch.bfloat16 and second in self._shapes else name)
        return tensor.to(dtype)

    def hand(self) -> dict[str, Tensor]:
        """Return the hand model's arrays; empty where the file was made without."""
        with safe_open(self.path, "pt") as file:
            names = [name for name in self._shapes if name.startswith(HAND)]
            return {name.removeprefix(HAND): file.get_tensor(name) for name in names}


class Entry(NamedTuple):
    """A tensor to write."""

    name: str
    shape: Sequence[int]
    dtype: torch.dtype
    give: Callable[[], Tensor]

    @property
    def size(self) -> int:
        """The tensor's size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_converted(
    path: Path, entries: Iterable[Entry], configuration: HambaConfiguration, progress: Callable[[float], None]
) -> int:
    """Write the file, one tensor after the other, so that no second copy of them all is ever in memory.

    It appears under its name once it is whole. `progress` is told the share that is written. Returns the file's size in
    bytes. Raises OutputError.
    """
    # Larger numbers first: then every tensor begins at a multiple of its numbers' size.
    entries = sorted(entries, key=lambda entry: -entry.dtype.itemsize)
    header, offset = _header(entries, configuration)
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            partial = Path(folder) / path.name
            with partial.open("wb") as file:
                file.write(header)
                for entry in entries:
                    tensor = entry.give().to(entry.dtype).contiguous()
                    file.write(tensor.flatten().view(torch.uint8).numpy().data)
                    written += entry.size
                    progress(written / offset)
            partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: expected to write {offset} bytes of weights, found: {error.strerror}") from error
    return len(header) + offset


def _header(entries: Iterable[Entry], configuration: HambaConfiguration) -> tuple[bytes, int]:
    """Return the file's beginning, and how many bytes of tensors follow it."""
    table: dict[str, Any] = {"__metadata__": {"format": FORMAT, "configuration": json.dumps(configuration.to_dict())}}
    offset = 0
    for entry in entries:
        table[entry.name] = {
            "dtype": _DTYPE_NAMES[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [offset, offset + entry.size],
        }
        offset += entry.size
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 64)
    return struct.pack("<Q", len(text)) + text, offset
