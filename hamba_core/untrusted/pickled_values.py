"""What a pickle says of arrays, kept as records, and made into arrays at the end.

Nothing that a pickle names is looked up or called: a name stays a name, an object is a record of its state, and an
array is made by `numpy.frombuffer` alone, from a dtype of a short list and bytes whose number was checked.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from hamba_core.arrays import AnyArray

MOST_NUMBERS: Final = 4_000_000
"""The limit of an array that is built from another: chosen elements, or a sparse matrix made dense."""
MOST_NUMBERS_IN_ALL: Final = 1 << 26
"""The limit of all arrays of a file together: a small file can name the same numbers many times. RHD has 11 million."""
_DEEPEST: Final = 8

_DTYPES: Final = frozenset(("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"))


class NotArraysError(ValueError):
    """A pickle holds something that is not numbers, or is damaged. Nothing of it was executed."""


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle names, and that nobody looks up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"[:200]


class Allowance:
    """How many numbers may still be made out of a file."""

    def __init__(self, left: int = MOST_NUMBERS_IN_ALL) -> None:
        self._left = left

    def take(self, count: int) -> None:
        """Use some of it. Raises NotArraysError once it is used up."""
        self._left -= count
        if self._left < 0:
            raise NotArraysError(f"expected at most {MOST_NUMBERS_IN_ALL} numbers in all, found more; refused")


@dataclass(eq=False)
class _DType:
    code: str
    order: str = "<"

    def made(self) -> np.dtype[Any]:
        if self.code not in _DTYPES:
            raise NotArraysError(f"expected plain numbers, found the dtype {self.code[:40]!r}; refused")
        return np.dtype(self.order + self.code)


@dataclass(eq=False)
class _RawArray:
    """What a pickle says of a numpy.ndarray; its BUILD operation tells it."""

    shape: tuple[int, ...] = ()
    dtype: _DType = field(default_factory=lambda: _DType("f8"))
    fortran: bool = False
    data: bytes | str = b""

    def array(self) -> AnyArray:
        return _from_bytes(self.data, self.dtype, self.shape, self.fortran)


@dataclass(eq=False)
class _Record:
    """What a pickle says of another object: its class, and its state by name."""

    kind: str
    state: dict[Any, Any] = field(default_factory=dict)


_KINDS: Final = {
    Name("chumpy.ch", "Ch"): "Ch",
    Name("chumpy.reordering", "Select"): "Select",
    Name("scipy.sparse.csc", "csc_matrix"): "csc_matrix",
    Name("scipy.sparse._csc", "csc_matrix"): "csc_matrix",
}
_NUMPY: Final = {
    f"numpy.{core}.{module}.{name}": name
    for core in ("core", "_core")
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
}
_OBJECT: Final = ("builtins.object", "__builtin__.object")
_SETS: Final = ("builtins.set", "__builtin__.set")
_RECONSTRUCTOR: Final = ("copyreg._reconstructor", "copy_reg._reconstructor")
_NDARRAY: Final = "numpy.ndarray"
_OTHERS: Final = ("numpy.dtype", "_codecs.encode", "__builtin__.bytes")
_ALLOWED: Final = frozenset((*map(str, _KINDS), *_OBJECT, *_SETS, *_RECONSTRUCTOR, *_NUMPY, _NDARRAY, *_OTHERS))


def named(module: str, name: str) -> Name:
    """Return a name of the short list that files of arrays hold. Raises NotArraysError for any other."""
    found = Name(module, name)
    if str(found) not in _ALLOWED:
        raise NotArraysError(
            f"expected arrays of NumPy, SciPy and chumpy alone, found {found}; refused, nothing was executed"
        )
    return found


def new_record(kind: object) -> _Record:
    """Return an empty record of this class. Raises NotArraysError if it is no class that holds arrays."""
    if not isinstance(kind, Name) or kind not in _KINDS:
        raise NotArraysError(f"expected arrays alone, found an object of {kind_of(kind)}; refused")
    return _Record(_KINDS[kind])


def result_of(called: Name, arguments: tuple[Any, ...]) -> Any:
    """Return what a call would give, had it been made."""
    match _NUMPY.get(str(called), str(called)), arguments:
        case "numpy.dtype", (str(code), *_):
            order, code = (code[0], code[1:]) if code[:1] in ("<", ">", "|", "=") else ("<", code)
            return _DType(code, order)
        case "_codecs.encode", (str(text), "latin1" | "latin-1"):
            return text  # how Python 3 writes bytes for Python 2; made into bytes where they are used
        case (("builtins.set" | "__builtin__.set"), (list(members),)):
            return members  # not used here, and hashing what a file holds may never end
        case "__builtin__.bytes", ():
            return b""
        case (("copyreg._reconstructor" | "copy_reg._reconstructor"), (Name() as kind, Name() as base, None)):
            if str(base) in _OBJECT:
                return new_record(kind)
        case "_reconstruct", (Name() as kind, _, _) if str(kind) == _NDARRAY:
            return _RawArray()
        case "scalar", (dtype, data):
            return _from_bytes(data, dtype, ()).item()
        case "_frombuffer", (bytes() | bytearray() as data, _DType() as dtype, shape, "C" | "F" as order):
            return _RawArray(_shape(shape), dtype, order == "F", bytes(data))
    raise NotArraysError(
        f"expected arrays of NumPy, SciPy and chumpy alone, found a call of {called}; refused, nothing was executed"
    )


def build(target: object, state: object) -> None:
    """Take what the pickle says of an object it has made."""
    match target, state:
        case _Record(), dict():
            target.state = state  # not copied: a small file could give one large state to many objects
        case _DType(), (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_):
            target.order = order
        case _RawArray(), (int(), tuple(shape), _DType() as dtype, int() as fortran, str() | bytes() as data):
            target.shape, target.dtype, target.fortran, target.data = _shape(shape), dtype, bool(fortran), data
        case _:
            raise NotArraysError(f"expected the state of an array of numbers, found another of {kind_of(target)}")


def array_of(value: object, allowance: Allowance, depth: int = 0) -> AnyArray:
    """Return the array that a value is. Raises ValueError, TypeError, KeyError, IndexError, OverflowError."""
    if depth > _DEEPEST:
        raise NotArraysError(f"expected an array, found one inside {depth} others")
    if isinstance(value, _RawArray):
        allowance.take(math.prod(value.shape))
        return value.array()
    if isinstance(value, list | tuple):
        allowance.take(len(value))
    if isinstance(value, list | tuple) and value and all(type(number) in (int, float) for number in value):
        return np.asarray(value, np.int64 if all(type(number) is int for number in value) else np.float64)
    if isinstance(value, _Record):
        match value.kind:
            case "Ch":
                return array_of(value.state["x"], allowance, depth + 1)
            case "Select":
                return _selected(value.state, allowance, depth)
            case "csc_matrix":
                return _dense(value.state, allowance, depth)
    raise NotArraysError(f"expected an array, found {kind_of(value)}")


def _selected(state: dict[Any, Any], allowance: Allowance, depth: int) -> AnyArray:
    """Return what a chumpy.reordering.Select holds: elements of an array, in another shape."""
    values = array_of(state["a"], allowance, depth + 1).ravel()
    chosen = _whole(array_of(state["idxs"], allowance, depth + 1)).ravel()
    shape = _shape(state["preferred_shape"])
    if math.prod(shape) != len(chosen) or len(chosen) > MOST_NUMBERS:
        raise NotArraysError(f"expected elements for the shape {shape}, found {len(chosen)}")
    allowance.take(len(chosen))
    result: AnyArray = values[chosen].reshape(shape)  # an index outside is an IndexError
    return result


def _dense(state: dict[Any, Any], allowance: Allowance, depth: int) -> AnyArray:
    """Return a scipy.sparse.csc_matrix as an array. SciPy itself trusts the indices, which come from the file here."""
    shape = _shape(state["_shape"])
    if len(shape) != 2 or math.prod(shape) > MOST_NUMBERS:
        raise NotArraysError(f"expected a sparse matrix of bearable size, found the shape {shape}")
    allowance.take(math.prod(shape))
    data = array_of(state["data"], allowance, depth + 1)
    indices, starts = (
        _whole(array_of(state[name], allowance, depth + 1)).astype(np.int64) for name in ("indices", "indptr")
    )
    counts = np.diff(starts)
    fits = (
        data.shape == indices.shape == (len(data),)
        and starts.shape == (shape[1] + 1,)
        and starts[0] == 0
        and starts[-1] == len(data)
        and (counts >= 0).all()
    )
    if not fits:
        raise NotArraysError("expected the parts of a sparse matrix to fit together, found that they do not")
    dense = np.zeros(shape)
    np.add.at(dense, (indices, np.repeat(np.arange(shape[1]), counts)), data)
    return dense


def _whole(array: AnyArray) -> AnyArray:
    if array.dtype.kind not in "iu":
        raise NotArraysError(f"expected whole numbers, found {array.dtype}")
    return array


def _shape(value: object) -> tuple[int, ...]:
    if isinstance(value, _RawArray):
        value = value.array().tolist()
    if not isinstance(value, list | tuple) or len(value) > 32 or not all(type(n) is int and n >= 0 for n in value):
        raise NotArraysError(f"expected a shape, found {kind_of(value)}")
    return tuple(value)


def _from_bytes(data: object, dtype: object, shape: object, fortran: object = False) -> AnyArray:
    if isinstance(data, str):  # Python 2 had no other bytes
        data = data.encode("latin1")
    if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _DType):
        raise NotArraysError(f"expected bytes and a dtype, found {kind_of(data)} and {kind_of(dtype)}")
    kind, sides = dtype.made(), _shape(shape)
    if math.prod(sides) * kind.itemsize != len(data):
        raise NotArraysError(f"expected {kind} {sides} in {math.prod(sides) * kind.itemsize} bytes, found {len(data)}")
    return np.frombuffer(data, kind).reshape(sides, order="F" if fortran else "C")


def kind_of(value: object) -> str:
    """Return what a value is, for errors; never what it holds, which may be without end."""
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, _Record):
        return f"an object of {value.kind}"
    return type(value).__name__.lstrip("_")
