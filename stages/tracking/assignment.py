"""This module decides which detection is which tracked hand: the assignment of least total cost (Kuhn 1955, in SciPy).

The cost of a pair grows with the distance from where the hand's motion would have taken it, with the overlap that the
boxes lack, and with a side that does not agree.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats
from stages.common.proximity import box_overlap, joint_distance, tight_box
from stages.packets import HandBox
from stages.tracking.track import Track, certainty

# Costs are shares of a hand's size; these weigh the other evidence against distance.
_OVERLAP_WEIGHT: Final = 0.3
_SIDE_WEIGHT: Final = 0.5
# How far from where it was expected a hand may be found, in its own size: it grows with the time since it was seen, and
# a side that disagrees halves it, if a hand of that side is known.
_REACH_AT_ONCE: Final = 0.5
_REACH_PER_SECOND: Final = 4.0
_LONGEST_REACH: Final = 1.5
# A new hand that is nearer than this to one that is followed, in hand sizes, or overlaps it more, is the same hand
# seen twice.
_ON_TOP: Final = 0.5
_COVERED: Final = 0.4


def assigned(
    tracks: Sequence[Track], boxes: Sequence[HandBox], now: float, previous: float, max_gap: float
) -> dict[int, Track]:
    """Return the tracks that get a detection, by the detection's place among `boxes`.

    `previous`, s, is the time of the frame before. A hand that was not seen for longer than `max_gap` s gets no
    detection of the other side.
    """
    if not tracks or not boxes:
        return {}
    from scipy.optimize import linear_sum_assignment

    costs = np.array([[_cost(track, box, tracks, now, previous, max_gap) for box in boxes] for track in tracks])
    reachable = np.isfinite(costs)
    # The impossible gets a finite cost, so that an optimum exists; such pairs are thrown out below.
    rows, columns = linear_sum_assignment(np.where(reachable, costs, 1e6))
    return {int(c): tracks[int(r)] for r, c in zip(rows, columns, strict=True) if reachable[r, c]}


def is_on(joints: AnyFloats, box: AnyFloats, other_joints: AnyFloats, other_box: AnyFloats) -> bool:
    """Return whether a hand lies on another, or covers it: joints (21, 2) and boxes (4,) px."""
    return joint_distance(joints, other_joints) < _ON_TOP or box_overlap(box, other_box) > _COVERED


def _cost(track: Track, box: HandBox, tracks: Sequence[Track], now: float, previous: float, max_gap: float) -> float:
    """Return the cost of taking this detection for this track's hand, in hand sizes; infinite if it cannot be."""
    unseen = now - track.seen_at
    doubt = certainty(box) if box.side != track.side else 0.0
    if doubt and track.seen_at < previous and unseen > max_gap:
        return np.inf  # after so long there is nothing but place and side to know a hand by
    expected = track.expected(now)
    distance = joint_distance(box.joints_2d, expected)
    reach = min(_REACH_AT_ONCE + _REACH_PER_SECOND * unseen, _LONGEST_REACH)
    if doubt and any(other.track_id is not None and other.side == box.side for other in tracks if other is not track):
        reach *= 1 - 0.5 * doubt
    if distance > reach:
        return np.inf
    overlap = box_overlap(box.box, tight_box(expected))
    return distance + _OVERLAP_WEIGHT * (1 - overlap) + _SIDE_WEIGHT * doubt
