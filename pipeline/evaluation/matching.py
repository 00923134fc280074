"""Matching decides which found hand is which true one."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats
from stages.common.proximity import joint_distance

_FARTHEST: Final = 0.5
"""Of a hand's size: mean distance of the joints beyond which a found hand is not the true one."""


def matched(found: Sequence[AnyFloats], true: Sequence[AnyFloats], farthest: float = _FARTHEST) -> dict[int, int]:
    """Return, for each true hand that was found, which of the found ones it is: at most one each, nearest in sum.

    Both are joints (21, 2) px. Whether the sides agree does not count here.
    """
    if not found or not true:
        return {}
    from scipy.optimize import linear_sum_assignment

    costs = np.array([[joint_distance(t, f) for f in found] for t in true])
    rows, columns = linear_sum_assignment(np.minimum(costs, 1e3))
    return {int(t): int(f) for t, f in zip(rows, columns, strict=True) if costs[t, f] <= farthest}
