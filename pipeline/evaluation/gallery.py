"""The gallery has pictures for a report: the worst hands, and some that stand for all."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hamba_core.arrays import Float32Array
from pipeline.evaluation.observations import Observation
from stages.common.proximity import tight_box
from stages.packets import Image
from stages.synthetic import HandTruth

_WORST: Final = 12
_TYPICAL: Final = 12
_LEAST_VISIBLE: Final = 0.6
"""Of a hand: a picture of one that cannot be seen tells nothing."""
_APART: Final = 15
"""Frames between two pictures of the worst hands: neighbours look alike."""
_TILE: Final = 200  # px


@dataclass(order=True)
class Picture:
    """A hand cut out of a frame, with its true and its found joints in it."""

    error: float  # mm, PA-MPJPE
    order: int
    image: Image = field(compare=False)  # (_TILE, _TILE, 3)
    true: Float32Array = field(compare=False)  # (21, 2) px in it
    found: Float32Array = field(compare=False)
    caption: str = field(compare=False)
    scene: str = field(compare=False)
    frame: int = field(compare=False)


class Gallery:
    """It keeps the worst hands of `method`, and a random sample, which is the same each time."""

    def __init__(self) -> None:
        self.method = ""
        self._worst: list[Picture] = []
        self._sample: list[Picture] = []
        self._seen = 0
        self._random = np.random.default_rng(0)

    @property
    def worst(self) -> list[Picture]:
        """The worst hands, the largest error first."""
        return sorted(self._worst, reverse=True)

    @property
    def typical(self) -> list[Picture]:
        """Some hands at random, in order of their error."""
        return sorted(self._sample)

    def offer(self, image: Image, observations: Sequence[Observation], truth: Sequence[HandTruth]) -> None:
        """Offer a frame that has been measured."""
        for observation in observations:
            errors = observation.errors.get(self.method)
            if errors is None or observation.visibility < _LEAST_VISIBLE:
                continue
            self._seen += 1
            error, hand = errors["pa_mpjpe"], truth[observation.hand]
            if self._is_among_worst(error, observation):
                self._worst.append(self._picture(image, observation, hand))
                self._worst = heapq.nlargest(_WORST, self._worst)
            # Reservoir sampling: every hand is as likely to stay.
            place = len(self._sample) if len(self._sample) < _TYPICAL else int(self._random.integers(self._seen))
            if place < _TYPICAL:
                self._sample[place : place + 1] = [self._picture(image, observation, hand)]

    def _is_among_worst(self, error: float, observation: Observation) -> bool:
        for known in self._worst:
            if known.scene == observation.scene and abs(known.frame - observation.frame) < _APART:
                if known.error >= error:
                    return False
                self._worst.remove(known)
                return True
        return len(self._worst) < _WORST or error > min(self._worst).error

    def _picture(self, image: Image, observation: Observation, hand: HandTruth) -> Picture:
        import cv2

        found = observation.found[self.method].joints_2d
        left, top, right, bottom = tight_box(np.concatenate([hand.joints_2d, found])).tolist()
        side = 1.25 * max(right - left, bottom - top)
        scale = _TILE / side
        corner = np.array([(left + right - side) / 2, (top + bottom - side) / 2])
        to_tile = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
        tile = cv2.warpAffine(image, to_tile, (_TILE, _TILE), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        error = observation.errors[self.method]["pa_mpjpe"]
        caption = f"{error:.1f} mm · {observation.scene} · {observation.side}"
        true, own = ((scale * (joints - corner)).astype(np.float32) for joints in (hand.joints_2d, found))
        return Picture(
            error, -self._seen, np.asarray(tile, np.uint8), true, own, caption, observation.scene, observation.frame
        )  # fmt: skip
