"""The maps as they stand on the wire, field by field, and the arrays in them.

Every list states how long it may be, so that a decoder refuses a hostile length before it allocates for it, and every
number how large, so that nothing that is computed from it leaves the range of what records, draws or counts it. Fields
that are not here are skipped when a message is read.
"""

import math
from typing import Annotated, Any, Final, Literal

import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType
from numpy.typing import NDArray

from hamba_core.errors import WireError
from stages.packets import EventKind, EventPhase

VERSION: Final = 3
OLDEST_VERSION: Final = 1
"""The oldest version that is read: its messages are this version's, but for fields that a hand need not have."""
FLOATS: Final = ("<f4", "<f2", "<f8")
INTEGERS: Final = ("<u2", "<i4", "<u4", "|u1")

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A count, at most as large as every language's numbers hold exactly."""
Nanoseconds = Annotated[int, Meta(ge=0, lt=2**62)]
"""A monotonic clock's time, up to 146 years."""
UnixNanoseconds = Annotated[int, Meta(gt=-(2**62), lt=2**62)]
Pixels = Annotated[int, Meta(ge=1, le=2**16)]
Seconds = Annotated[float, Meta(ge=-1e9, le=1e9)]
FocalLength = Annotated[float, Meta(ge=1e-3, le=1e9)]
Offset = Annotated[float, Meta(ge=-1e9, le=1e9)]
LARGEST_NUMBER: Final = 1e9
"""The largest number in an array: metres, pixels, parameters."""
MOST_VERTICES: Final = 10**6
_MOST = Meta(max_length=1024)


class Version(Struct):
    """The one field that every version has."""

    v: int


class Array(Struct, frozen=True, gc=False):
    """An array: type, shape, row-major bytes."""

    t: str
    s: Annotated[list[Count], Meta(max_length=4)]
    b: bytes


class Clock(Struct, frozen=True, gc=False):
    monotonic_ns: Nanoseconds
    unix_ns: UnixNanoseconds


class Camera(Struct, frozen=True, gc=False):
    fx: FocalLength
    fy: FocalLength
    cx: Offset
    cy: Offset
    estimated: bool


class Frame(Struct, frozen=True, gc=False):
    index: Count
    pts: Seconds
    captured_ns: Nanoseconds
    width: Pixels
    height: Pixels
    name: str | UnsetType = UNSET
    captured_by: str | UnsetType = UNSET


class Hand(Struct, frozen=True, gc=False, kw_only=True):
    id: Count
    side: Literal["left", "right"]
    score: float
    box: Array
    translation: Array
    global_orient: Array
    hand_pose: Array
    betas: Array
    joints: Array
    joints_2d: Array
    vertices: Array | UnsetType = UNSET
    # From version 2 on.
    seen: bool = True
    quality: float | None = None
    translation_std: Array | UnsetType = UNSET
    visibility: Array | UnsetType = UNSET


class World(Struct, frozen=True, gc=False, kw_only=True):
    """From version 3 on."""

    T_world_camera: Array
    origin: Annotated[str, Meta(max_length=64)]
    seen: bool
    age: Annotated[float, Meta(ge=0, le=1e9)]
    error: Annotated[float, Meta(ge=0, le=1e9)] | None


class Event(Struct, frozen=True, gc=False, kw_only=True):
    """From version 3 on."""

    id: Count
    side: Literal["left", "right"]
    kind: EventKind
    phase: EventPhase
    confidence: Annotated[float, Meta(ge=0, le=1)]
    held: Annotated[float, Meta(ge=0, le=1e9)]


class Hands(Struct, frozen=True, gc=False, kw_only=True):
    v: int
    stream: str
    seq: Count
    frame: Frame
    published_ns: Nanoseconds
    clock: Clock
    camera: Camera
    hands: Annotated[list[Hand], _MOST]
    stage_ns: Annotated[dict[str, Count], _MOST] = {}
    # From version 3 on.
    world: World | UnsetType = UNSET
    events: Annotated[list[Event], _MOST] = []


class Model(Struct, frozen=True, gc=False, kw_only=True):
    v: int
    stream: str
    published_ns: Nanoseconds
    clock: Clock
    name: str
    vertices: Annotated[int, Meta(ge=0, le=MOST_VERTICES)]
    faces_right: Array
    faces_left: Array
    joint_names: Annotated[list[str], _MOST]
    joint_parents: Annotated[list[Annotated[int, Meta(ge=-1, lt=1024)]], _MOST]
    estimator: str
    versions: Annotated[dict[str, str], _MOST]


class Percentiles(Struct, frozen=True, gc=False):
    p50: float | None
    p95: float | None
    p99: float | None


class Stage(Struct, frozen=True, gc=False, kw_only=True):
    name: str
    received: Count
    emitted: Count
    dropped: Annotated[dict[str, Count], _MOST]
    in_flight: Count
    time: Percentiles
    queue_depth: Count
    queue_peak: Count
    queue_capacity: Count


class Choice(Struct, frozen=True, gc=False):
    subject: str
    chosen: str
    reason: str
    fallback: bool


class Source(Struct, frozen=True, gc=False, kw_only=True):
    state: str
    seconds: float
    reason: str
    age: float | None
    captured_by: str
    counts: Annotated[dict[str, Count], _MOST]


class Status(Struct, frozen=True, gc=False, kw_only=True):
    v: int
    stream: str
    published_ns: Nanoseconds
    clock: Clock
    state: str
    reason: str
    elapsed: float
    frames: Count
    hands: Count
    rate: float | None
    latency: Percentiles
    stages: Annotated[list[Stage], _MOST]
    choices: Annotated[list[Choice], _MOST]
    errors: Annotated[dict[str, Count], _MOST]
    source: Source | UnsetType = UNSET


class Image(Struct, frozen=True, gc=False, kw_only=True):
    v: int
    stream: str
    published_ns: Nanoseconds
    clock: Clock
    frame: Frame
    camera: Camera
    jpeg: bytes
    world: World | UnsetType = UNSET  # from version 3 on


def pack(array: NDArray[Any], dtype: str = "<f4") -> Array:
    """Return an array as this type."""
    return Array(dtype, list(array.shape), array.astype(dtype, copy=False).tobytes())


def unpack(array: Array, name: str, shape: tuple[int | None, ...], dtypes: tuple[str, ...]) -> NDArray[Any]:
    """Return the array, of one of these types, over the bytes that came. None in the shape is any length.

    Raises WireError.
    """
    if array.t not in dtypes:
        raise WireError(f"{name}: expected an array of {', '.join(dtypes)}, found {array.t[:16]!r}")
    if len(array.s) != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.s, strict=True)):
        want_text = ", ".join("any" if n is None else str(n) for n in shape)
        raise WireError(f"{name}: expected shape ({want_text}), found {tuple(array.s)}")
    size = math.prod(array.s) * int(array.t[2])
    if len(array.b) != size:
        raise WireError(f"{name}: expected {size} bytes for {array.t} {tuple(array.s)}, found {len(array.b)}")
    return np.frombuffer(array.b, array.t).reshape(array.s)


def unpack_floats(array: Array, name: str, *shape: int | None) -> NDArray[np.float32]:
    """Unpack in single precision. Raises WireError, also for what is too large; NaN is for packets to refuse."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = unpack(array, name, shape, FLOATS).astype(np.float32, copy=False)
        if values.size and np.abs(values).max() > LARGEST_NUMBER:
            raise WireError(f"{name}: expected numbers of at most {LARGEST_NUMBER:g}, found others")
    return values
