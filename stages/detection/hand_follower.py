"""Hands are followed with MediaPipe's two networks: the landmark network looks where each hand is expected, the palm
network searches the picture only while hands are missing.

A look is as good as its crop. Here the crop is cut around the last frame's joints, moved on by the hand's motion and
turned as the hand is; a left hand is shown mirrored, so that it is seen as its mirror image would be.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import exp
from typing import Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import Side
from stages.common.proximity import PALM, hand_size, joint_distance
from stages.detection.hand_crop import HandCrop, crop_around
from stages.detection.hand_network import HandNetwork
from stages.detection.looking import Sighting, look_at
from stages.detection.palm_detector import PALM_JOINTS, Palm, PalmDetector
from stages.detection.search_regions import AROUND, FAR, Region, parts_of
from stages.packets import HandBox, Image

SAME_HAND: Final = 0.2
"""Of a hand's size: two hands whose joints are nearer than this on average are one."""

_VELOCITY_MEMORY: Final = 0.03  # s, time constant of the velocity's running mean
_LONGEST_STEP: Final = 0.2  # s; motion is not trusted for longer
_AROUND_EVERY: Final = 0.25  # s; in a video the picture is searched with black around it once in each such turn
_PART_EVERY: Final = 0.125  # s; and one part of it, each in its turn, wherever the video began
_CLOSE: Final = 1e-6  # of a turn: sums of steps are that exact
_SIDE_MEMORY: Final = 3.0  # certain looks, most that a hand's side is held by


@dataclass(eq=False)
class _Followed:
    """A hand that is followed from frame to frame."""

    sighting: Sighting
    seen_at: float  # s
    side: float  # evidence for a right hand, against it where negative, in certain looks
    velocity: Array = field(default_factory=lambda: np.zeros(2))  # px/s

    def expected(self, now: float) -> Array:
        """Return the joints (21, 2) px where the hand's motion will have taken them."""
        joints: Array = self.sighting.joints_2d + min(now - self.seen_at, _LONGEST_STEP) * self.velocity
        return joints

    def see(self, sighting: Sighting, now: float) -> None:
        step = max(now - self.seen_at, 1e-3)
        palm = list(PALM)
        moved = sighting.joints_2d[palm].mean(0) - self.sighting.joints_2d[palm].mean(0)
        self.velocity = self.velocity + (1 - exp(-step / _VELOCITY_MEMORY)) * (moved / step - self.velocity)
        self.side = float(np.clip(self.side + 2 * sighting.right - 1, -_SIDE_MEMORY, _SIDE_MEMORY))
        self.sighting, self.seen_at = sighting, now


class HandFollower:
    """The two networks and the hands that they follow. Use it from one thread at a time.

    Raises DependencyError, WeightsError where a network cannot be loaded.
    """

    def __init__(
        self, *, most: int = 2, least_palm: float = 0.5, least_presence: float = 0.5, follow: bool = True,
        maps: bool = False, side: Side | None = None,
    ) -> None:  # fmt: skip
        """Follow `most` hands and keep the `maps` of each look; without `follow`, search each picture anew.

        All hands are of this `side`, if one is given, and are looked at so.
        """
        self._side = side
        self._most, self._least_palm, self._least_presence = most, least_palm, least_presence
        self._follow, self._maps = follow, maps
        self._network, self._palms = HandNetwork(), PalmDetector()
        self._hands: list[_Followed] = []
        self._around_turn = -1  # when last searched so
        self._now: float | None = None  # s, of the picture before
        self.looks = 0
        """Crops looked at so far."""
        self.searches = 0
        """Pictures searched for palms so far."""

    @property
    def name(self) -> str:
        """The runtime that runs the networks, and how hands are found."""
        import onnxruntime

        how = "hands followed" if self._follow else "each picture searched"
        return f"MediaPipe's hand networks, ONNX Runtime {onnxruntime.__version__}, CPU, {how}"

    def close(self) -> None:
        """Forget the hands; the networks are freed with this."""
        self._hands = []

    def find(self, image: Image, now: float) -> list[HandBox]:
        """Return the hands in a picture (H, W, 3) RGB taken `now`, s, which rises from call to call."""
        if not self._follow:
            self._hands = []
        last, self._now = self._now, now
        self._look_again(image, now)
        if len(self._hands) < self._most:
            self._search(image, now, last)
        return [hand.sighting.box(self._side) for hand in self._hands]

    def _look_again(self, image: Image, now: float) -> None:
        """Look where the hands of the last frame should be; let go of those that are not there."""
        crops = [crop_around(hand.expected(now), mirrored=self._is_left(hand.side)).on_grid() for hand in self._hands]
        seen: list[tuple[float, _Followed, Sighting]] = []
        for hand, sighting in zip(self._hands, self._look(image, crops), strict=True):
            if sighting.look.presence >= self._least_presence:
                surprise = joint_distance(sighting.joints_2d, hand.expected(now))
                seen.append((surprise, hand, sighting))
        kept: list[_Followed] = []
        # Where two see one hand, as when one passes behind the other, the one that did not leap there keeps it.
        for _, hand, sighting in sorted(seen, key=lambda each: each[0]):
            if not _is_among(sighting, [other.sighting for other in kept]):
                hand.see(sighting, now)
                kept.append(hand)
        self._hands = [hand for hand in self._hands if hand in kept]

    def _search(self, image: Image, now: float, last: float | None) -> None:
        """Begin to follow hands whose palms are found, in the whole picture and, while some are missing, elsewhere.

        In still pictures all is done at once; in a video the whole picture in each, what costs more now and then: a
        part in each turn since the picture before, of the time `last`.
        """
        height, width = image.shape[:2]
        self._search_in(image, Region.whole(width, height), now)
        missing = len(self._hands) < self._most if not self._follow else not self._hands
        turn = _turn(now, _AROUND_EVERY)
        if missing and (not self._follow or turn != self._around_turn):
            self._around_turn = turn
            self._search_in(image, Region.whole(width, height, AROUND), now)
        parts = parts_of(width, height)
        if self._follow:
            turn = _turn(now, _PART_EVERY)
            turns = turn - (turn - 1 if last is None else _turn(last, _PART_EVERY))
            parts = [parts[each % len(parts)] for each in range(turn - min(turns, len(parts)) + 1, turn + 1)]
        for part in parts:
            self._search_far(image, part, now)

    def _search_far(self, image: Image, region: Region, now: float) -> None:
        """Search a part of the picture, unless there are near hands: others with them are not far away."""
        near = FAR * max(image.shape[:2])
        if len(self._hands) < self._most and all(_length(hand.sighting) < near for hand in self._hands):
            self._search_in(image, region, now)

    def _search_in(self, image: Image, region: Region, now: float) -> None:
        self._begin_at(image, self._palms.find(image, self._least_palm, region), now)
        self.searches += 1

    def _begin_at(self, image: Image, palms: Sequence[Palm], now: float) -> None:
        for palm in palms:
            if len(self._hands) == self._most:
                return
            if not any(_is_palm_of(palm, hand.sighting) for hand in self._hands):
                sighting = self._first_look(image, palm)
                if sighting is not None and not _is_among(sighting, [hand.sighting for hand in self._hands]):
                    self._hands.append(_Followed(sighting, now, 2 * sighting.right - 1))

    def _first_look(self, image: Image, palm: Palm) -> Sighting | None:
        """Return what is seen in a crop that the palm places, and then, better, in one that the hand's joints place."""
        (first,) = self._look(image, [replace(palm.crop(), mirrored=self._side == "left")])
        if first.look.presence < self._least_presence:
            return None
        (second,) = self._look(image, [crop_around(first.joints_2d, mirrored=self._is_left(2 * first.right - 1))])
        return second if second.look.presence >= self._least_presence else None

    def _is_left(self, evidence: float) -> bool:
        """Return whether a hand is looked at as a left one, by the evidence for a right one where no side is given."""
        return evidence < 0 if self._side is None else self._side == "left"

    def _look(self, image: Image, crops: Sequence[HandCrop]) -> list[Sighting]:
        self.looks += len(crops)
        return look_at(self._network, image, crops, maps=self._maps)


def _turn(now: float, every: float) -> int:
    """Return in which turn of so many seconds a time, s, lies."""
    return int(now / every + _CLOSE)


def _length(sighting: Sighting) -> float:
    """Return the longer side of a hand in the picture, px."""
    return float(np.ptp(sighting.joints_2d, axis=0).max())


def _is_among(sighting: Sighting, others: Sequence[Sighting]) -> bool:
    return any(joint_distance(sighting.joints_2d, other.joints_2d) <= SAME_HAND for other in others)


def _is_palm_of(palm: Palm, sighting: Sighting) -> bool:
    """Return whether a palm belongs to a hand that is followed: its joints are within half a palm of the hand's."""
    joints = sighting.joints_2d[list(PALM_JOINTS)]
    apart = np.linalg.norm(palm.joints - joints, axis=1).mean()
    return bool(apart < 0.5 * max(hand_size(palm.joints), hand_size(joints)))
