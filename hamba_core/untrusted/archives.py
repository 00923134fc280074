"""Zip archives and the `.npz` ones of NumPy, unpacked no further than was agreed beforehand."""

import io
import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.arrays import AnyArray
from hamba_core.untrusted.documents import DocumentError

_LONGEST_HEADER: Final = 4096
ARCHIVE_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    OSError,
)
"""What is raised for a damaged or encrypted archive, or one of a method that is not supported."""
_HEADER_ERRORS: Final = (
    ValueError,
    LookupError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    RecursionError,
    MemoryError,
)
"""What NumPy raises for headers of arrays that are none."""


def unpack_entry(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """Return the content of an entry of at most so many bytes, whatever it claims. Raises DocumentError, KeyError."""
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Of others zipfile unpacks without a bound, and LZMA sets aside what its header says.
        raise DocumentError(f"expected {name[:80]} to be stored or deflated, found another kind of compression")
    try:
        with archive.open(name) as file:
            content = file.read(largest + 1)
    except ARCHIVE_ERRORS as error:
        raise DocumentError(f"expected {name[:80]} to be whole, found: {error}") from error
    if len(content) > largest:
        raise DocumentError(f"expected {name[:80]} to be at most {largest} bytes, found more")
    return content


def read_npz(data: bytes, names: Sequence[str], largest: int) -> dict[str, AnyArray]:
    """Return the arrays of these names that an `.npz` file has: plain numbers, at most so many bytes each.

    Nothing is set aside for an array before its bytes are there. Raises DocumentError.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            present = set(archive.namelist())
            return {
                name: _array(name, unpack_entry(archive, f"{name}.npy", largest + _LONGEST_HEADER))
                for name in names
                if f"{name}.npy" in present
            }
    except DocumentError:
        raise
    except ARCHIVE_ERRORS as error:
        raise DocumentError(f"expected an .npz archive, found: {error}") from error


def load_arrays(path: Path) -> dict[str, AnyArray]:
    """Return all arrays, of numbers or texts, in an `.npz` file of a user's own. Raises DocumentError, OSError.

    For a file that a stranger may have made there is `read_npz`.
    """
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DocumentError("expected several arrays (.npz), found one (.npy)")
            found = {name: archive[name] for name in archive.files}
    except (DocumentError, OSError):
        raise
    except (*ARCHIVE_ERRORS, *_HEADER_ERRORS, AttributeError) as error:
        raise DocumentError(f"expected arrays (.npz), found: {str(error)[:200]}") from error
    for name, array in found.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufUS":
            raise DocumentError(f"expected {name[:80]} to be an array of numbers or texts, found another thing")
    return found


def _array(name: str, content: bytes) -> AnyArray:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[
            version
        ]
        shape, fortran, dtype = read_header(file, max_header_size=_LONGEST_HEADER)
    except _HEADER_ERRORS as error:
        raise DocumentError(
            f"expected {name} to be an array as NumPy writes it, found another ({str(error)[:200]})"
        ) from error
    values = content[file.tell() :]
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise DocumentError(f"expected {name} to be plain numbers, found {str(dtype)[:80]}")
    if any(type(side) is not int or side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != len(values):
        raise DocumentError(f"expected {name} to be {dtype} {str(shape)[:80]}, found {len(values)} bytes")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if fortran else "C")
