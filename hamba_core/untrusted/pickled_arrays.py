"""Arrays are read out of a pickle without Python's unpickler.

A pickle is a small program: it names classes, calls them, and hands them state. Even with the classes restricted to
NumPy's, that state goes into compiled code that trusts it, and an array of dtype object made from raw bytes is an array
of pointers of the file's choosing. So nothing of the pickle is called here. Its operations are read one by one; a name
stays a name, an object stays a record of what was said of it, and an array is made only at the end, by
`numpy.frombuffer`, from a dtype of a short list and bytes whose number was checked.

The operations are those of Python 2's protocols 0 to 2, and of protocols 3 to 5 as far as arrays need them
(Lib/pickletools.py of CPython describes them all).
"""

import re
import struct
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from hamba_core.arrays import AnyArray
from hamba_core.untrusted.pickled_values import (
    Allowance,
    Name,
    NotArraysError,
    array_of,
    build,
    kind_of,
    named,
    new_record,
    result_of,
)


def read_pickled_arrays(data: bytes, names: Sequence[str]) -> dict[str, AnyArray]:
    """Return the arrays of these names that a pickled dict has. Raises NotArraysError, and nothing else.

    Understood are arrays and numbers of NumPy's, chumpy's Ch and Select, and SciPy's csc_matrix, which is made dense.
    """
    content = _content(data, MOST_OPERATIONS)
    if not isinstance(content, dict):
        raise NotArraysError(f"expected a dict of arrays, found {kind_of(content)}")
    return _arrays(content, names, Allowance())


def read_pickled_records(data: bytes, names: Sequence[str]) -> dict[int, dict[str, AnyArray]]:
    """Return the arrays of these names in each dict of a pickled dict of dicts, by whole numbers.

    This is how annotations of many pictures are kept. Raises NotArraysError, and nothing else.
    """
    content = _content(data, MOST_OPERATIONS_OF_RECORDS)
    if not isinstance(content, dict):
        raise NotArraysError(f"expected a dict of dicts of arrays, found {kind_of(content)}")
    records, allowance = {}, Allowance()
    for key, record in content.items():
        if type(key) is not int or not isinstance(record, dict):
            raise NotArraysError(f"expected numbered dicts of arrays, found {kind_of(key)} and {kind_of(record)}")
        records[key] = _arrays(record, names, allowance)
    return records


def _content(data: bytes, most_operations: int) -> Any:
    try:
        return _Reader(data, most_operations).read()
    except NotArraysError:
        raise
    except (struct.error, ValueError, IndexError, KeyError, OverflowError) as error:
        raise NotArraysError(f"expected a whole pickle, found one that is damaged: {error!r:.200}") from error


def _arrays(content: dict[Any, Any], names: Sequence[str], allowance: Allowance) -> dict[str, AnyArray]:
    arrays = {}
    for name in names:
        if name in content:
            try:
                arrays[name] = array_of(content[name], allowance)
            except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
                raise NotArraysError(f"{name}: {error}") from error
    return arrays


MOST_OPERATIONS: Final = 200_000
"""MANO's own file has a few hundred."""
MOST_OPERATIONS_OF_RECORDS: Final = 20_000_000
"""41,000 pictures' annotations have two million."""
_LARGEST_INTEGER: Final = 16  # bytes
_T = TypeVar("_T")

_FIXED: Final = {
    "J": "<i",
    "K": "<B",
    "M": "<H",
    "G": ">d",
    "h": "<B",
    "j": "<I",
    "q": "<B",
    "r": "<I",
    "\x80": "<B",
    "\x95": "<Q",
}
"""Operations whose argument is one number."""
_COUNTED: Final = {
    "U": "<B",
    "T": "<i",
    "X": "<I",
    "\x8c": "<B",
    "\x8d": "<Q",
    "C": "<B",
    "B": "<I",
    "\x8e": "<Q",
    "\x96": "<Q",
    "\x8a": "<B",
    "\x8b": "<i",
}
"""Operations whose argument is a number of bytes."""
_LINES: Final = frozenset("ILFSVpgc")
"""Operations whose argument is a line; for "c" it is two."""
_CONSTANTS: Final = {"N": None, "\x88": True, "\x89": False, ")": ()}


class _Reader:
    """It goes through a pickle with a stack and a memory of its own, as the unpickler would."""

    def __init__(self, data: bytes, most_operations: int) -> None:
        self._data, self._at, self._most = data, 0, most_operations
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # what stood on the stack before each mark
        self._memory: dict[int, Any] = {}

    def read(self) -> Any:
        for _ in range(self._most):
            operation = chr(self._take(1)[0])
            if operation == ".":
                return self._stack.pop()
            self._perform(operation)
        raise NotArraysError(f"expected at most {self._most} operations, found more; refused")

    def _take(self, count: int) -> bytes:
        if not 0 <= count <= len(self._data) - self._at:
            raise NotArraysError("expected a whole pickle, found one that is cut short")
        self._at += count
        return self._data[self._at - count : self._at]

    def _line(self) -> bytes:
        end = self._data.find(b"\n", self._at)
        return self._take(end + 1 - self._at)[:-1]

    def _perform(self, operation: str) -> None:
        push = self._stack.append
        if operation in _CONSTANTS:
            push(_CONSTANTS[operation])
        elif operation in _FIXED:
            layout = _FIXED[operation]
            self._number(operation, struct.unpack(layout, self._take(struct.calcsize(layout)))[0])
        elif operation in _COUNTED:
            layout = _COUNTED[operation]
            (count,) = struct.unpack(layout, self._take(struct.calcsize(layout)))
            push(_counted(operation, self._take(count)))
        elif operation in _LINES:
            self._text(operation, self._line())
        elif operation in "(1ltdeu":
            self._with_mark(operation)
        else:
            self._with_stack(operation)

    def _number(self, operation: str, number: int | float) -> None:
        match operation:
            case "J" | "K" | "M" | "G":
                self._stack.append(number)
            case "h" | "j":
                self._stack.append(self._memory[int(number)])
            case "q" | "r":
                self._memory[int(number)] = self._stack[-1]

    def _text(self, operation: str, line: bytes) -> None:
        push = self._stack.append
        match operation:
            case "I":
                push(line == b"01" if line in (b"00", b"01") else _integer(line))
            case "L":
                push(_integer(line.removesuffix(b"L")))
            case "F":
                push(float(line))
            case "S":
                push(_ESCAPE.sub(_unescaped, line[1:-1]).decode("latin1"))
            case "V":
                push(line.decode("raw-unicode-escape"))
            case "p":
                self._memory[_integer(line)] = self._stack[-1]
            case "g":
                push(self._memory[_integer(line)])
            case "c":
                push(named(line.decode(), self._line().decode()))

    def _with_mark(self, operation: str) -> None:
        if operation == "(":
            self._below.append(self._stack)
            self._stack = []
            return
        marked, self._stack = self._stack, self._below.pop()
        match operation:
            case "l":
                self._stack.append(marked)
            case "t":
                self._stack.append(tuple(marked))
            case "d":
                self._stack.append(_put({}, marked))
            case "e":
                _expect(self._stack[-1], list).extend(marked)
            case "u":
                _put(_expect(self._stack[-1], dict), marked)

    def _with_stack(self, operation: str) -> None:
        stack = self._stack
        match operation:
            case "0":
                stack.pop()
            case "2":
                stack.append(stack[-1])
            case "]":
                stack.append([])
            case "}":
                stack.append({})
            case "a":
                value = stack.pop()
                _expect(stack[-1], list).append(value)
            case "s":
                value, key = stack.pop(), stack.pop()
                _put(_expect(stack[-1], dict), [key, value])
            case "\x85" | "\x86" | "\x87":
                count = ord(operation) - 0x84
                values = [stack.pop() for _ in range(count)]
                stack.append(tuple(reversed(values)))
            case "\x94":
                self._memory[len(self._memory)] = stack[-1]
            case "\x93":
                name, module = _expect(stack.pop(), str), _expect(stack.pop(), str)
                stack.append(named(module, name))
            case "R" | "\x81":
                arguments, called = _expect(stack.pop(), tuple), _expect(stack.pop(), Name)
                stack.append(new_record(called) if operation == "\x81" else result_of(called, arguments))
            case "b":
                state = stack.pop()
                build(stack[-1], state)
            case _:
                raise NotArraysError(f"expected operations that arrays need, found {operation!r}; refused")


_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _unescaped(found: re.Match[bytes]) -> bytes:
    """Return what an escape of Python 2's `repr` of a string stands for."""
    sign = found[1]
    return bytes([int(sign[1:], 16)]) if len(sign) == 3 else _ESCAPED.get(sign, sign)


def _integer(line: bytes) -> int:
    if len(line) > 40:
        raise NotArraysError(f"expected a number, found one of {len(line)} digits")
    return int(line)


def _counted(operation: str, data: bytes) -> Any:
    """Return what these bytes mean to the operation."""
    match operation:
        case "U" | "T":
            return data.decode("latin1")
        case "X" | "\x8c" | "\x8d":
            return data.decode("utf-8", "surrogatepass")
        case "\x8a" | "\x8b":
            if len(data) > _LARGEST_INTEGER:
                raise NotArraysError(f"expected numbers of at most {_LARGEST_INTEGER} bytes, found one of {len(data)}")
            return int.from_bytes(data, "little", signed=True)
    return data


def _expect(value: object, kind: type[_T]) -> _T:
    if type(value) is not kind:
        raise NotArraysError(f"expected {kind.__name__.lstrip('_')}, found {kind_of(value)}")
    return value


def _put(target: dict[Any, Any], pairs: list[Any]) -> dict[Any, Any]:
    """Put keys and values, one after the other, into a dict."""
    if len(pairs) % 2:
        raise NotArraysError("expected keys with values, found a key alone")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if type(key) not in (str, int):  # a key is hashed, which for nested tuples may never end
            raise NotArraysError(f"expected names for keys, found {kind_of(key)}")
        target[key] = value
    return target
