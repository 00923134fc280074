"""The tracker follows hands from frame to frame and tells which hand each is, and which side.

A person has one hand of each side, so that the only hand of its side is known again wherever it appears. All rules are
in seconds of the source's time stamps, so that they hold at any frame rate.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Final

import numpy as np
from pydantic import Field

from hamba_core.hand import Side
from stages.common.proximity import PALM, joint_distance, tight_box
from stages.contract import Stage
from stages.packets import Choice, Detections, FrameMeta, HandBox
from stages.settings import StageSettings
from stages.tracking.assignment import assigned, is_on
from stages.tracking.picture import PictureWatch
from stages.tracking.track import Track, certainty, is_certain, other_side

_SAME_PLACE: Final = 0.25  # nearer than this, in hand sizes, two tracks are one hand
_TIME_ON_TOP: Final = 0.3  # s for which a hand on top of another has to be seen to be one of its own
_LONGEST_DOUBT: Final = 0.3  # s after which a new hand is shown, whatever its side
_SHORTEST_STEP: Final = 1e-3  # s
_LONGEST_STEP: Final = 60.0  # s
_HANDS_OF_A_PERSON: Final = 2
_TWO_PEOPLE: Final = 2.0  # s of two certain hands of one side at once, until they are believed to be two people's


class TrackingSettings(StageSettings):
    """How hands are followed."""

    confirm_score: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="score at which a new hand wholly in the picture is shown at once; others when seen twice alike",
    )
    max_gap: float = Field(
        default=0.2,
        ge=0,
        le=2,
        description="seconds for which a hand that is not seen is extrapolated, if it was seen for as long",
    )
    memory: float = Field(
        default=2.0, ge=0, le=10, description="seconds after which a hand that is not seen is forgotten, with its id"
    )
    side_time: float = Field(
        default=0.5,
        ge=0,
        le=5,
        description="seconds for which a hand must be seen as the other side before its side changes",
    )


class HandTracking(Stage[Detections, Detections]):
    """A stage that gives detections track ids and steady sides and bridges short gaps; its hands are ordered by id.

    Ids count up from 1 and are not given to two hands. The only hand of its side keeps its id however far it moves, and
    when it comes back within `settings.memory` seconds. A hand that is not seen is shown for `settings.max_gap` seconds
    at most, and no longer than it was seen before, where its motion and the picture's would have taken it, unless
    another hand is seen there or the picture's motion is not known; its score halves every tenth of a second. Where the
    picture is cut everything is forgotten.

    With `max_hands` of two at most, hands are one person's: there are never two of one side, until two have been seen
    so, both for certain, for two seconds. `stills` says that the pictures have nothing to do with one another: every
    hand is new in each of them.
    """

    name = "track"

    def __init__(
        self, settings: TrackingSettings | None = None, *, stills: bool = False, max_hands: int = _HANDS_OF_A_PERSON
    ) -> None:
        self._settings = settings or TrackingSettings()
        self._stills = stills
        self._for_one_person = max_hands <= _HANDS_OF_A_PERSON and not stills
        self._picture = PictureWatch()
        self._tracks: list[Track] = []
        self._now = 0.0  # s, rises with every frame, whatever the time stamps do
        self._previous = 0.0  # s, when the frame before was
        self._step_before = 0.0  # s from the frame before that to it
        self._looked_at = 0.0  # s, when the detector last looked
        self._between_looks = 0.0  # s from its look before to that one
        self._alike_for = 0.0  # s for which two hands of one side have been seen
        self._last_pts: float | None = None
        self._last_id = 0
        self._cuts = 0

    def process(self, packet: Detections) -> Detections:
        meta = packet.frame.meta
        self._advance_clock(meta.pts)
        if packet.looked:
            self._between_looks = self._now - self._looked_at
            self._looked_at = self._now
        if self._stills:
            self._tracks = []
        else:
            self._watch(packet)
        for box in self._match(packet.boxes):
            self._start(box)
        if not self._stills:
            self._lose()
        for track in sorted(self._tracks, key=lambda track: -certainty(track.box)):
            self._confirm(track, meta)
        self._settle_sides()
        self._end()
        shown = [track.hand(self._now, self._looked_at) for track in self._tracks if self._is_shown(track, meta)]
        return replace(packet, boxes=tuple(sorted(shown, key=lambda hand: hand.track_id or 0)))

    def choices(self) -> tuple[Choice, ...]:
        """Return how often the picture was cut, if it was."""
        return (Choice("cuts", str(self._cuts), "every hand is a new one after them"),) if self._cuts else ()

    def close(self) -> None:
        self._tracks = []
        self._picture.forget()

    def _advance_clock(self, pts: float) -> None:
        self._step_before = self._now - self._previous
        self._previous = self._now
        if self._last_pts is not None:
            self._now += min(max(pts - self._last_pts, _SHORTEST_STEP), _LONGEST_STEP)
        self._last_pts = pts

    def _watch(self, packet: Detections) -> None:
        """Forget everything where the picture is cut; carry hands that were not seen before along with it."""
        expected = [tight_box(track.joints) for track in self._tracks]
        self._picture.see(packet.frame.image, [*expected, *(box.box for box in packet.boxes)])
        if self._picture.is_cut:
            self._cuts += 1
            self._tracks, self._alike_for = [], 0.0
        self._carry([track for track in self._known() if track.seen_at < self._previous])

    def _match(self, boxes: Sequence[HandBox]) -> list[HandBox]:
        """Give every track its detection, if there is one; return the detections that no track takes.

        One that shows no hand as the track's can be, a moment after it was seen, is passed over.
        """
        taken = assigned(self._tracks, boxes, self._now, self._previous, self._settings.max_gap)
        for column, track in taken.items():
            if track.is_another(boxes[column], self._now):
                continue
            known = self._now - track.seen_at <= max(self._settings.max_gap, self._now - self._previous)
            track.see(boxes[column], self._now, self._previous, known=known)
        left = [box for column, box in enumerate(boxes) if column not in taken]
        return self._found_again(left)

    def _found_again(self, boxes: Sequence[HandBox]) -> list[HandBox]:
        """Give certain hands, out of reach of their tracks, to the only track of their side; return the other hands."""
        left = list(boxes)
        for box in sorted(boxes, key=lambda box: -box.score):
            track = self._only_one(box.side)
            if track is None or track.seen_at == self._now or self._is_on_top(box):
                continue
            if box.score >= self._settings.confirm_score:
                track.jump(box, self._now, self._previous)
                left.remove(box)
        return left

    def _lose(self) -> None:
        """Carry hands that are not seen for the first time along with the picture, at their own speed."""
        lost = [track for track in self._known() if track.seen_at == self._previous < self._now]
        if lost and self._step_before > 0:
            for track in lost:
                track.slow_by(self._picture.shift_before(track.joints.mean(0)) / self._step_before)
        self._carry(lost)

    def _carry(self, tracks: Sequence[Track]) -> None:
        """Move hands as the picture moved since the frame before."""
        for track in tracks:
            if track.lost or self._now - track.seen_at > self._settings.max_gap:
                continue
            motion = self._picture.motion()
            if motion is None:
                track.lost = True
            else:
                track.carry(motion)

    def _start(self, box: HandBox) -> None:
        """Begin a track, unless the detection is a second one of a hand that is followed already."""
        for other in self._tracks:
            if other.seen_at == self._now and joint_distance(box.joints_2d, other.joints) < _SAME_PLACE:
                return
        self._tracks.append(Track(box, self._now, self._settings.side_time))

    def _confirm(self, track: Track, meta: FrameMeta) -> None:
        """Give a new hand its id, once its side is agreed on or longer waiting would not settle it.

        What a detector says first of a hand that enters the picture is often wrong.
        """
        if track.track_id is not None or track.seen_at < self._now:
            return
        seen_for = self._now - track.began_at
        if self._is_on_top(track.box, track) and seen_for < _TIME_ON_TOP:
            return
        least, most = track.joints.min(0), track.joints.max(0)
        whole = least.min() >= 0 and most[0] <= meta.width and most[1] <= meta.height
        sure = whole and track.score >= self._settings.confirm_score and not self._misses(other_side(track.side))
        undecided = seen_for >= _LONGEST_DOUBT
        known = self._only_one(track.side)
        returned = known is not None and not self._is_seen(known)
        if self._stills or sure or returned or track.sightings_alike > 1 or undecided:
            self._identify(track)

    def _identify(self, track: Track) -> None:
        """Give the track the id of the hand that it must be, or a new one."""
        if self._sees(track.side) and (self._is_one_person or not is_certain(track.box)):
            if self._sees(other_side(track.side)):
                if self._is_one_person:
                    return  # both of the person's hands are there already
            else:
                track.side = other_side(track.side)  # the label is mistaken
        # The evidence for a hand's side is not passed on to one that has this side only because no other was free.
        known, evidence = self._only_one(track.side), track.box.side == track.side
        if known is None or self._is_seen(known):
            known, evidence = self._beneath(track), True
        if known is None:
            track.track_id = self._new_id()
        else:
            track.take_over(known, evidence=evidence)
            self._tracks.remove(known)

    def _settle_sides(self) -> None:
        """Change the side of hands that have been seen as the other one for long enough."""
        seen = [track for track in self._known() if self._is_seen(track)]
        if len(seen) > 1 and all(is_certain(track.box) for track in seen):
            alike = len({track.box.side for track in seen}) == 1
            self._alike_for = self._alike_for + self._now - self._previous if alike else 0.0
        for track in seen:
            if track.contrary <= track.firm:
                continue
            others = self._known(other_side(track.side)) if self._is_one_person else []
            for other in others:
                if not self._is_seen(other) or track.contrary + other.contrary > track.firm:
                    track.swap_with(other)
            if not others:
                self._change_side(track)

    def _change_side(self, track: Track) -> None:
        """Make the track a hand of the other side: the same hand seen wrongly before, or another in its place."""
        if track.doubtful_since is not None:
            self._tracks.append(track.left_behind(track.doubtful_since))
            track.track_id, track.doubtful_since = self._new_id(), None
        track.side = other_side(track.side)

    def _end(self) -> None:
        """Let go of hands that were not seen for too long or never confirmed, and of a hand's second track."""
        for track in list(self._tracks):
            unseen = self._now - track.seen_at
            if unseen > (self._settings.memory if track.track_id is not None else self._settings.max_gap):
                self._tracks.remove(track)
        for first, second in combinations(list(self._tracks), 2):
            near = joint_distance(first.expected(self._now), second.expected(self._now)) < _SAME_PLACE
            alike = first.side == second.side or (first.seen_at == second.seen_at and first.box.side == second.box.side)
            if near and alike and first in self._tracks and second in self._tracks:
                # The one seen last is the hand; of two seen now, the older.
                self._tracks.remove(second if first.seen_at >= second.seen_at else first)

    def _is_shown(self, track: Track, meta: FrameMeta) -> bool:
        if track.track_id is None:
            return False
        if self._is_seen(track):
            return True
        unseen = self._now - track.seen_at
        if unseen > self._settings.max_gap or track.lost:
            return False
        seen_for = max(track.seen_at - track.seen_since, self._between_looks)
        if unseen > seen_for and self._looked_at > track.seen_at:
            return False  # what was there for a moment is not made to last
        expected = track.expected(self._now)
        x, y = expected[list(PALM)].mean(0)
        inside = bool(0 <= x <= meta.width and 0 <= y <= meta.height)
        ghost = replace(track.box, joints_2d=expected.astype(np.float32), box=tight_box(expected))
        return inside and not self._is_on_top(ghost, track)

    @property
    def _is_one_person(self) -> bool:
        return self._for_one_person and self._alike_for < _TWO_PEOPLE

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _sees(self, side: Side) -> bool:
        """Return whether a known hand of this side is seen."""
        return any(self._is_seen(track) for track in self._known(side))

    def _is_seen(self, track: Track) -> bool:
        return track.seen_at == self._now

    def _known(self, side: Side | None = None) -> list[Track]:
        """Return the tracks that have an id, of this side or of both."""
        return [track for track in self._tracks if track.track_id is not None and side in (None, track.side)]

    def _misses(self, side: Side) -> bool:
        """Return whether a hand of this side was seen a moment ago and is not seen now."""
        return any(0 < self._now - track.seen_at <= self._settings.max_gap for track in self._known(side))

    def _beneath(self, track: Track) -> Track | None:
        """Return the unseen hand that was where this one is until a moment before this one came; None if none was."""
        for other in self._known():
            apart = track.began_at - other.seen_at
            if not self._is_seen(other) and apart <= max(self._settings.max_gap, self._now - self._previous):
                expected = other.expected(self._now)
                if is_on(track.joints, track.box.box, expected, tight_box(expected)):
                    return other
        return None

    def _only_one(self, side: Side) -> Track | None:
        """Return the hand of this side if there is exactly one, else None."""
        known = self._known(side)
        return known[0] if len(known) == 1 else None

    def _is_on_top(self, box: HandBox, own: Track | None = None) -> bool:
        """Return whether a box lies on another hand that is seen and known."""
        return any(
            is_on(box.joints_2d, box.box, other.joints, other.box.box)
            for other in self._known()
            if other is not own and self._is_seen(other)
        )
