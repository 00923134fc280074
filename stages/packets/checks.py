"""How packets check themselves when they are made."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from hamba_core.errors import PacketError
from hamba_core.hand import SIDES


def checked(owner: object, name: str, shape: tuple[int | None, ...], dtype: DTypeLike, *, finite: bool = True) -> None:
    """Give a field its dtype, check its shape (None is any length) and make it read-only."""
    given = getattr(owner, name)
    try:
        array = np.asarray(given, dtype)
    except (TypeError, ValueError) as error:
        raise PacketError(f"{type(owner).__name__}.{name}: expected numbers, found {type(given).__name__}") from error
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        want_text = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise PacketError(f"{type(owner).__name__}.{name}: expected shape {want_text}, found {array.shape}")
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise PacketError(f"{type(owner).__name__}.{name}: expected finite numbers, found NaN or infinity")
    if array.flags.writeable:
        # A view, so that the caller's own array stays as it was.
        array = array.view()
        array.setflags(write=False)
    object.__setattr__(owner, name, array)


def check_side(owner: object, side: str) -> None:
    if side not in SIDES:
        raise PacketError(f"{type(owner).__name__}.side: expected 'left' or 'right', found {side!r}")


def shapes(packet: Any) -> str:
    """Return `repr` of a packet with shapes in the place of arrays."""
    parts = []
    for f in fields(packet):
        value = getattr(packet, f.name)
        parts.append(f"{f.name}={value.dtype}{value.shape}" if isinstance(value, np.ndarray) else f"{f.name}={value!r}")
    return f"{type(packet).__name__}({', '.join(parts)})"
