"""A track is one hand over time: where it is, how it moves, and what speaks for its side."""

from copy import copy
from dataclasses import replace
from math import exp
from typing import Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import Side
from stages.common.proximity import PALM, tight_box
from stages.packets import HandBox

_VELOCITY_MEMORY: Final = 0.05  # s, time constant of the velocity's running mean
_COASTING: Final = 0.15  # s, time constant with which an unseen hand's velocity fades
_SCORE_HALF_LIFE: Final = 0.1  # s, with which an unseen hand's score falls
_LONGEST_SIGHT: Final = 0.1  # s, most that one frame counts as evidence for a side
_FIRST_SIGHT: Final = 1 / 30  # s that the first frame counts
_TURNING_OVER: Final = 0.12  # s in which no hand turns over
_EDGE_ON: Final = 0.35  # sine of the angle at the wrist to the outer knuckles: of a smaller one nobody knows its sense
_FIRM: Final = 0.2  # of the memory for sides: so much certain sight to the contrary is no mistake


class Track:
    """One hand over time.

    `side_memory` is the time constant, s, with which evidence for its side fades: what the detector says now counts
    more than what it said before.
    """

    def __init__(self, box: HandBox, now: float, side_memory: float) -> None:
        self.track_id: int | None = None  # none until confirmed
        self.side: Side = box.side
        self.began_at = self.seen_at = now
        self.seen_since = now  # but for short gaps
        self.sightings_alike = 1  # in a row, of the same side; counted until confirmed
        self.doubtful_since: float | None = None  # s; what was seen since may be another hand than before
        self.lost = False  # unseen, and the picture's motion is not known
        self.box = box  # as last seen
        self.joints = box.joints_2d.astype(np.float64)  # (21, 2) px, as last seen, carried along with the picture
        self._velocity = np.zeros(2)  # px/s
        self._side_memory = side_memory
        self._right = _FIRST_SIGHT * _rightness(box)  # s of certain sight as a right hand; negative as a left one
        self._sight = abs(self._right)  # s of certain sight in all

    @property
    def score(self) -> float:
        """The detector's score when the hand was last seen."""
        return self.box.score

    @property
    def contrary(self) -> float:
        """The recent evidence for the side that is not `side`, s of certain sight; negative if it is for `side`."""
        return -self._right if self.side == "right" else self._right

    @property
    def firm(self) -> float:
        """How much of `contrary` is more than chance, s; it is less where there is little evidence to contradict."""
        return min(_FIRM * self._side_memory, self._sight / 2)

    def expected(self, now: float) -> Array:
        """Return the joints (21, 2) px where the hand's fading motion has taken it since it was seen."""
        travel = _COASTING * (1 - exp(-(now - self.seen_at) / _COASTING))
        return self.joints + travel * self._velocity

    def is_another(self, box: HandBox, now: float) -> bool:
        """Return whether this detection shows another hand, or none, where the hand of a well known side was just seen.

        Of one hand that is only taken for the other side the picture stays as it was. If besides index and little
        finger have changed places, the hand would have turned over meanwhile.
        """
        if box.side == self.side or now - self.seen_at > _TURNING_OVER or self.contrary > -self.firm:
            return False
        before, after = _sense(self.joints), _sense(box.joints_2d.astype(np.float64))
        return before * after < 0 and min(abs(before), abs(after)) > _EDGE_ON

    def see(self, box: HandBox, now: float, previous: float, *, known: bool = True) -> None:
        """Take this detection for the hand; `previous`, s, is the time of the frame before.

        `known` is false if the hand was away for so long, or so far, that the evidence for its side counts by half.
        """
        unseen = now - self.seen_at
        after_gap = self.seen_at < previous
        if not known:
            self._right /= 2
            self.seen_since = now
        if box.side == self.side:
            self.doubtful_since = None
        elif after_gap and self.doubtful_since is None:
            self.doubtful_since = self.seen_at
        joints = box.joints_2d.astype(np.float64)
        palm = list(PALM)
        velocity = (joints[palm].mean(0) - self.joints[palm].mean(0)) / unseen
        self._velocity += (1 - exp(-unseen / _VELOCITY_MEMORY)) * (velocity - self._velocity)
        self._weigh_side(box, unseen, now - previous)
        self.box, self.joints, self.seen_at, self.lost = box, joints, now, False

    def jump(self, box: HandBox, now: float, previous: float) -> None:
        """Take this detection for the hand, though only its side says that it is the same."""
        before = self.seen_at
        self.see(box, now, previous, known=False)
        self.doubtful_since = before
        self._velocity[:] = 0

    def take_over(self, other: "Track", *, evidence: bool) -> None:
        """Take the id and side of a track that was not seen since; with `evidence`, also half of that for its side."""
        self.track_id, self.side, self.doubtful_since = other.track_id, other.side, other.seen_at
        if evidence:
            self._right += other._right / 2
            self._sight += other._sight

    def swap_with(self, other: "Track") -> None:
        """Exchange ids and sides with a track that was taken for this one; the evidence for each side stays."""
        self.track_id, other.track_id = other.track_id, self.track_id
        self.side, other.side = other.side, self.side
        self.doubtful_since = other.doubtful_since = None

    def left_behind(self, seen_at: float) -> "Track":
        """Return a lost track for the hand that this one was until `seen_at`, since now it is another hand."""
        other = copy(self)
        other.joints, other.seen_at, other.lost, other._velocity = self.joints.copy(), seen_at, True, np.zeros(2)
        return other

    def carry(self, motion: Array) -> None:
        """Move along with the picture, by (2, 3): matrix and shift, px."""
        self.joints = self.joints @ motion[:, :2].T + motion[:, 2]

    def slow_by(self, velocity: Array) -> None:
        """Take what the picture itself moved, px/s, off the hand's own motion."""
        self._velocity -= velocity

    def hand(self, now: float, looked_at: float) -> HandBox:
        """Return the hand as seen now, or as expected; its score falls where the detector looked and did not see it."""
        box = self.box.of_side(self.side)
        if self.seen_at == now:
            return replace(box, track_id=self.track_id)
        joints = self.expected(now).astype(np.float32)
        missed = now - self.seen_at if looked_at > self.seen_at else 0.0
        return replace(
            box,
            track_id=self.track_id,
            seen=False,
            look=None,
            missed=missed > 0,
            score=self.box.score * 0.5 ** (missed / _SCORE_HALF_LIFE),
            box=tight_box(joints),
            joints_2d=joints,
        )

    def _weigh_side(self, box: HandBox, unseen: float, step: float) -> None:
        fading = exp(-unseen / self._side_memory) if self._side_memory else 0.0
        sight = min(step, _LONGEST_SIGHT) * _rightness(box)
        self._right = fading * self._right + sight
        self._sight += abs(sight)
        if self.track_id is None:
            self.sightings_alike = self.sightings_alike + 1 if box.side == self.side else 1
            self.side = box.side


def _sense(joints: Array) -> float:
    """Return the sine of the angle at the wrist from the index finger's knuckle to the little one's, of joints (21, 2).

    Its sign tells, for a hand of one side, whether palm or back is seen.
    """
    index, little = joints[5] - joints[0], joints[17] - joints[0]
    lengths = float(np.linalg.norm(index) * np.linalg.norm(little))
    return float(index[0] * little[1] - index[1] * little[0]) / max(lengths, 1e-9)


def certainty(box: HandBox) -> float:
    """Return how certain a detection is of its side: 0 if it guesses, 1 if it knows."""
    return max(2 * box.score - 1, 0.0)


def is_certain(box: HandBox) -> bool:
    """Return whether a detection is more certain of its side than a guess is."""
    return certainty(box) > 0.5


def other_side(side: Side) -> Side:
    """Return the other side: left for right, right for left."""
    return "left" if side == "right" else "right"


def _rightness(box: HandBox) -> float:
    return certainty(box) if box.side == "right" else -certainty(box)
