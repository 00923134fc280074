"""Some of the hands that named tuples of arrays hold together: first dimension, the hands; arrays may be nested."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from hamba_core.arrays import AnyArray, BoolArray

Hands = TypeVar("Hands", bound=tuple[Any, ...])
Which = BoolArray  # (B,)


def take(which: Which, hands: Hands) -> Hands:
    """The hands of `which` alone."""
    return hands if which.all() else _each(lambda every: every[which], hands)


def put(which: Which, those: Hands, hands: Hands) -> Hands:
    """All `hands`, but those of `which` as in `those`, which has them alone."""

    def with_those(some: AnyArray, every: AnyArray) -> AnyArray:
        every = every.copy()
        every[which] = some
        return every

    return those if which.all() else _each(with_those, those, hands)


def choose(which: Which, first: Hands, second: Hands) -> Hands:
    """The hands of `which` as in `first`, the others as in `second`."""

    def merged(one: AnyArray, other: AnyArray) -> AnyArray:
        return np.where(which.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return first if which.all() else _each(merged, first, second)


def _each(of_arrays: Callable[..., AnyArray], *hands: Hands) -> Hands:
    """Do this with the arrays that stand in the same place."""
    fields = zip(*hands, strict=True)
    return type(hands[0])(*(_each(of_arrays, *f) if isinstance(f[0], tuple) else of_arrays(*f) for f in fields))
