"""Follow hands from frame to frame: which hand it is, and which side.

Detections are assigned to tracks by least total cost (Kuhn 1955, in SciPy): the distance from where its motion would
have taken the hand, the overlap of the boxes, and whether the side agrees. All rules are in seconds of the source's
time stamps, so that they hold at any frame rate.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import exp
from typing import Final

import numpy as np
from pydantic import Field

from hamba_core.arrays import Array
from hamba_core.hand import Side
from stages.common.proximity import PALM, box_overlap, joint_distance, tight_box
from stages.contract import Stage
from stages.packets import Detections, FrameMeta, HandBox
from stages.settings import StageSettings

# Costs are shares of a hand's size; these weigh the other evidence against distance.
_OVERLAP_WEIGHT: Final = 0.3
_SIDE_WEIGHT: Final = 0.5
# How far from where it was expected a hand may be found, in its own size: it grows with the time since it was seen, and
# a side that disagrees halves it.
_REACH_AT_ONCE: Final = 0.5
_REACH_PER_SECOND: Final = 4.0
_LONGEST_REACH: Final = 1.5
_SAME_PLACE: Final = 0.25  # nearer than this, in hand sizes, two tracks are one hand
_VELOCITY_MEMORY: Final = 0.05  # s, time constant of the velocity's running mean
_COASTING: Final = 0.15  # s, time constant with which an unseen hand's velocity fades
_SCORE_HALF_LIFE: Final = 0.1  # s, with which an unseen hand's score falls
_SHORTEST_STEP: Final = 1e-3  # s
_LONGEST_STEP: Final = 60.0  # s
_LONGEST_SIGHT: Final = 0.1  # s, most that one frame counts as evidence for a side


class TrackingSettings(StageSettings):
    """How hands are followed."""

    confirm_score: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="score with which a new hand wholly in the picture is shown at once; others when seen twice alike",
    )
    max_gap: float = Field(
        default=0.2, ge=0, le=2, description="seconds for which a hand that is not seen is shown where it is expected"
    )
    memory: float = Field(
        default=1.0, ge=0, le=10, description="seconds after which a hand that is not seen is forgotten, and its id"
    )
    side_time: float = Field(
        default=0.3, ge=0, le=5, description="seconds for which a hand has to be seen as the other side to become it"
    )


class HandTracking(Stage[Detections, Detections]):
    """Detections to detections with track ids, steady sides and short gaps bridged, ordered by id.

    Ids count up from 1 and are not given twice. A hand that left the picture for more than `settings.max_gap` seconds,
    or was not seen in it for more than `settings.memory`, gets a new id when it comes back. A hand that is not seen is
    shown for `settings.max_gap` seconds where its motion would have taken it; its score halves every tenth of a second.

    `stills` says that the pictures have nothing to do with one another: every hand is new in each of them.
    """

    name = "track"

    def __init__(self, settings: TrackingSettings | None = None, *, stills: bool = False) -> None:
        self._settings = settings or TrackingSettings()
        self._stills = stills
        self._tracks: list[_Track] = []
        self._now = 0.0  # s, rises with every frame, whatever the time stamps do
        self._previous = 0.0  # s, when the frame before was
        self._looked_at = 0.0  # s, when the detector last looked
        self._last_pts: float | None = None
        self._last_id = 0

    def process(self, packet: Detections) -> Detections:
        meta = packet.frame.meta
        self._advance_clock(meta.pts)
        if packet.looked:
            self._looked_at = self._now
        if self._stills:
            self._tracks = []
        for box in self._match(packet.boxes):
            self._start(box)
        for track in self._tracks:
            self._confirm(track, meta)
        self._end(meta)
        shown = [track.hand(self._now, self._looked_at) for track in self._tracks if self._is_shown(track, meta)]
        return replace(packet, boxes=tuple(sorted(shown, key=lambda hand: hand.track_id or 0)))

    def close(self) -> None:
        self._tracks = []

    def _advance_clock(self, pts: float) -> None:
        self._previous = self._now
        if self._last_pts is not None:
            self._now += min(max(pts - self._last_pts, _SHORTEST_STEP), _LONGEST_STEP)
        self._last_pts = pts

    def _match(self, boxes: Sequence[HandBox]) -> list[HandBox]:
        """Give every track its detection, if there is one; what no track takes comes back."""
        if not self._tracks or not boxes:
            return list(boxes)
        from scipy.optimize import linear_sum_assignment

        costs = np.array([[self._cost(track, box) for box in boxes] for track in self._tracks])
        reachable = np.isfinite(costs)
        # A finite price for the impossible, so that an optimum exists; it never pays.
        rows, columns = linear_sum_assignment(np.where(reachable, costs, 1e6))
        taken = {int(c): self._tracks[int(r)] for r, c in zip(rows, columns, strict=True) if reachable[r, c]}
        for column, track in taken.items():
            track.see(boxes[column], self._now, self._settings)
        return [box for column, box in enumerate(boxes) if column not in taken]

    def _cost(self, track: "_Track", box: HandBox) -> float:
        """What it costs to take this detection for this track's hand, in hand sizes; infinite where it cannot be."""
        unseen = self._now - track.seen_at
        doubt = _certainty(box) if box.side != track.side else 0.0
        if doubt and track.seen_at < self._previous and unseen > self._settings.max_gap:
            return np.inf  # after so long there is nothing but place and side to know a hand by
        expected = track.expected(self._now)
        distance = joint_distance(box.joints_2d, expected)
        reach = min(_REACH_AT_ONCE + _REACH_PER_SECOND * unseen, _LONGEST_REACH)
        if distance > reach * (1 - 0.5 * doubt):
            return np.inf
        overlap = box_overlap(box.box, tight_box(expected))
        return distance + _OVERLAP_WEIGHT * (1 - overlap) + _SIDE_WEIGHT * doubt

    def _start(self, box: HandBox) -> None:
        """Begin a track, unless the detection is a second one of a hand that is followed already."""
        for other in self._tracks:
            if other.seen_at == self._now and joint_distance(box.joints_2d, other.joints) < _SAME_PLACE:
                return
        self._tracks.append(_Track(box, self._now))

    def _confirm(self, track: "_Track", meta: FrameMeta) -> None:
        """Give a new hand its id, once its side is agreed or would not be.

        What a detector says first of a hand that enters the picture is often wrong.
        """
        if track.track_id is not None or track.seen_at < self._now:
            return
        least, most = track.joints.min(0), track.joints.max(0)
        whole = least.min() >= 0 and most[0] <= meta.width and most[1] <= meta.height
        sure = whole and track.score >= self._settings.confirm_score
        undecided = self._now - track.began_at >= self._settings.side_time
        if self._stills or sure or track.sightings_alike > 1 or undecided:
            self._last_id += 1
            track.track_id = self._last_id

    def _end(self, meta: FrameMeta) -> None:
        """Let go of hands that left, were not seen for too long or never confirmed, and of a hand's second track."""
        for track in list(self._tracks):
            unseen = self._now - track.seen_at
            known = track.track_id is not None and self._is_in_picture(track, meta)
            if unseen > (self._settings.memory if known else self._settings.max_gap):
                self._tracks.remove(track)
        for first, second in combinations(list(self._tracks), 2):
            near = joint_distance(first.expected(self._now), second.expected(self._now)) < _SAME_PLACE
            if near and first.side == second.side and first in self._tracks and second in self._tracks:
                # The one seen last is the hand; of two seen now, the older.
                self._tracks.remove(second if first.seen_at >= second.seen_at else first)

    def _is_shown(self, track: "_Track", meta: FrameMeta) -> bool:
        if track.track_id is None:
            return False
        unseen = self._now - track.seen_at
        return unseen == 0 or (unseen <= self._settings.max_gap and self._is_in_picture(track, meta))

    def _is_in_picture(self, track: "_Track", meta: FrameMeta) -> bool:
        x, y = track.expected(self._now)[list(PALM)].mean(0)
        return bool(0 <= x <= meta.width and 0 <= y <= meta.height)


class _Track:
    """One hand over time."""

    def __init__(self, box: HandBox, now: float) -> None:
        self.track_id: int | None = None  # none until confirmed
        self.side: Side = box.side
        self.began_at = self.seen_at = now
        self.sightings_alike = 1  # in a row, of the same side; counted until confirmed
        self._box = box  # as last seen
        self.joints = box.joints_2d.astype(np.float64)  # (21, 2) px, as last seen
        self._velocity = np.zeros(2)  # px/s
        self._side_evidence = 0.0  # s of certain sight for the side; negative against it

    @property
    def score(self) -> float:
        return self._box.score

    def expected(self, now: float) -> Array:
        """Joints (21, 2) px where the hand's fading motion has taken it since it was seen."""
        travel = _COASTING * (1 - exp(-(now - self.seen_at) / _COASTING))
        return self.joints + travel * self._velocity

    def see(self, box: HandBox, now: float, settings: TrackingSettings) -> None:
        step = now - self.seen_at
        joints = box.joints_2d.astype(np.float64)
        palm = list(PALM)
        velocity = (joints[palm].mean(0) - self.joints[palm].mean(0)) / step
        self._velocity += (1 - exp(-step / _VELOCITY_MEMORY)) * (velocity - self._velocity)
        self._weigh_side(box, min(step, _LONGEST_SIGHT), settings.side_time / 2)
        self._box, self.joints, self.seen_at = box, joints, now

    def _weigh_side(self, box: HandBox, seconds: float, enough: float) -> None:
        """Change sides after `enough` seconds of certain disagreement, and up to as much again if it was well known."""
        evidence = _certainty(box) * seconds
        if self.track_id is None:
            self.sightings_alike = self.sightings_alike + 1 if box.side == self.side else 1
            self.side = box.side
        elif box.side == self.side:
            self._side_evidence = min(self._side_evidence + evidence, enough)
        else:
            self._side_evidence -= evidence
            if self._side_evidence < -enough:
                self.side, self._side_evidence = box.side, 0.0

    def hand(self, now: float, looked_at: float) -> HandBox:
        """The hand as seen now, or as expected; its score falls where the detector looked and did not see it."""
        if self.seen_at == now:
            return replace(self._box, track_id=self.track_id, side=self.side)
        joints = self.expected(now).astype(np.float32)
        missed = now - self.seen_at if looked_at > self.seen_at else 0.0
        score = self._box.score * 0.5 ** (missed / _SCORE_HALF_LIFE)
        return replace(
            self._box,
            track_id=self.track_id,
            side=self.side,
            seen=False,
            look=None,
            score=score,
            box=tight_box(joints),
            joints_2d=joints,
        )


def _certainty(box: HandBox) -> float:
    """How certain a detection is of its side: 0 where it guesses, 1 where it knows."""
    return max(2 * box.score - 1, 0.0)
