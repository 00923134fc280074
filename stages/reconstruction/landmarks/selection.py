"""These functions select hands from named tuples of arrays; the first dimension counts hands; tuples may be nested."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from hamba_core.arrays import AnyArray, BoolArray

Hands = TypeVar("Hands", bound=tuple[Any, ...])
Which = BoolArray  # (B,)


def take(which: Which, hands: Hands) -> Hands:
    """Return the hands of `which` alone."""
    return hands if which.all() else _each(lambda every: every[which], hands)


def put(which: Which, those: Hands, hands: Hands) -> Hands:
    """Return all `hands`, with those of `which` replaced by `those`, which holds nothing else."""

    def with_those(some: AnyArray, every: AnyArray) -> AnyArray:
        every = every.copy()
        every[which] = some
        return every

    return those if which.all() else _each(with_those, those, hands)


def choose(which: Which, first: Hands, second: Hands) -> Hands:
    """Return the hands of `which` as in `first`, the others as in `second`."""

    def merged(one: AnyArray, other: AnyArray) -> AnyArray:
        return np.where(which.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return first if which.all() else _each(merged, first, second)


def _each(of_arrays: Callable[..., AnyArray], *hands: Hands) -> Hands:
    """Call `of_arrays` with the arrays that stand in the same place of each tuple."""
    fields = zip(*hands, strict=True)
    return type(hands[0])(*(_each(of_arrays, *f) if isinstance(f[0], tuple) else of_arrays(*f) for f in fields))
