"""Follow hands with MediaPipe's two networks: the landmark network looks where each hand is expected, the palm network
searches the picture only while hands are missing.

A look is as good as its crop. Here the crop is cut around the last frame's joints, moved on by the hand's motion and
turned as the hand is; a left hand is shown mirrored, so that it is seen as its mirror image would be.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Final, NamedTuple

import numpy as np

from hamba_core.arrays import Array
from stages.common.proximity import PALM, hand_size, joint_distance, tight_box
from stages.detection.hand_crop import HandCrop, crop_around
from stages.detection.hand_network import HandNetwork, Look
from stages.detection.palm_detector import PALM_JOINTS, Palm, PalmDetector
from stages.packets import HandBox, HandLook, Image

SAME_HAND: Final = 0.2
"""Of a hand's size: two hands whose joints are nearer than this on average are one."""

_VELOCITY_MEMORY: Final = 0.03  # s, time constant of the velocity's running mean
_LONGEST_STEP: Final = 0.2  # s; motion is not trusted for longer
_SIDE_MEMORY: Final = 3.0  # certain looks, most that a hand's side is held by


class _Sighting(NamedTuple):
    """A hand in a picture."""

    joints_2d: Array  # (21, 2) px
    joints_world: Array  # (21, 3) m, the picture's axes, origin at the hand's own centre
    right: float  # 0 to 1: how likely it is a right hand
    look: HandLook

    def box(self) -> HandBox:
        joints = self.joints_2d.astype(np.float32)
        return HandBox(
            side="right" if self.right > 0.5 else "left",
            score=max(self.right, 1 - self.right),
            box=tight_box(joints),
            joints_2d=joints,
            joints_world=self.joints_world.astype(np.float32),
            look=self.look,
        )


@dataclass(eq=False)
class _Followed:
    """A hand that is followed from frame to frame."""

    sighting: _Sighting
    seen_at: float  # s
    side: float  # evidence for a right hand, against it where negative, in certain looks
    velocity: Array = field(default_factory=lambda: np.zeros(2))  # px/s

    def expected(self, now: float) -> Array:
        """Joints (21, 2) px where its motion will have taken it."""
        joints: Array = self.sighting.joints_2d + min(now - self.seen_at, _LONGEST_STEP) * self.velocity
        return joints

    def see(self, sighting: _Sighting, now: float) -> None:
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
        maps: bool = False,
    ) -> None:  # fmt: skip
        """`most` hands are followed; `maps` are kept of each look; without `follow` each picture is searched anew."""
        self._most, self._least_palm, self._least_presence = most, least_palm, least_presence
        self._follow, self._maps = follow, maps
        self._network, self._palms = HandNetwork(), PalmDetector()
        self._hands: list[_Followed] = []
        self.looks = 0
        """Crops looked at so far."""
        self.searches = 0
        """Pictures searched for palms so far."""

    @property
    def name(self) -> str:
        """What runs the networks, and how."""
        import onnxruntime

        how = "hands followed" if self._follow else "each picture searched"
        return f"MediaPipe's hand networks, ONNX Runtime {onnxruntime.__version__}, CPU, {how}"

    def close(self) -> None:
        """Forget the hands; the networks are freed with this."""
        self._hands = []

    def find(self, image: Image, now: float) -> list[HandBox]:
        """The hands in a picture (H, W, 3) RGB taken `now`, s, which rises from call to call."""
        if not self._follow:
            self._hands = []
        self._look_again(image, now)
        if len(self._hands) < self._most:
            self._search(image, now)
        return [hand.sighting.box() for hand in self._hands]

    def _look_again(self, image: Image, now: float) -> None:
        """Look where the hands of the last frame should be; let go of those that are not there."""
        crops = [crop_around(hand.expected(now), mirrored=hand.side < 0) for hand in self._hands]
        seen: list[tuple[float, _Followed, _Sighting]] = []
        for hand, sighting in zip(self._hands, self._look(image, crops), strict=True):
            if sighting.look.presence >= self._least_presence:
                surprise = joint_distance(sighting.joints_2d, hand.expected(now))
                seen.append((surprise, hand, sighting))
        kept: list[_Followed] = []
        # Where two see one hand, as when one passes behind the other, it is the one that did not leap there.
        for _, hand, sighting in sorted(seen, key=lambda each: each[0]):
            if not _is_among(sighting, [other.sighting for other in kept]):
                hand.see(sighting, now)
                kept.append(hand)
        self._hands = [hand for hand in self._hands if hand in kept]

    def _search(self, image: Image, now: float) -> None:
        """Begin to follow hands whose palms are found."""
        self.searches += 1
        for palm in self._palms.find(image, self._least_palm):
            if len(self._hands) == self._most:
                return
            if not any(_is_palm_of(palm, hand.sighting) for hand in self._hands):
                sighting = self._first_look(image, palm)
                if sighting is not None and not _is_among(sighting, [hand.sighting for hand in self._hands]):
                    self._hands.append(_Followed(sighting, now, 2 * sighting.right - 1))

    def _first_look(self, image: Image, palm: Palm) -> _Sighting | None:
        """What is seen in a crop that the palm places, and then, better, in one that the hand's joints place."""
        (first,) = self._look(image, [palm.crop()])
        if first.look.presence < self._least_presence:
            return None
        (second,) = self._look(image, [crop_around(first.joints_2d, mirrored=first.right < 0.5)])
        return second if second.look.presence >= self._least_presence else None

    def _look(self, image: Image, crops: Sequence[HandCrop]) -> list[_Sighting]:
        if not crops:
            return []
        self.looks += len(crops)
        look = self._network.look(np.stack([crop.cut(image) for crop in crops]), maps=self._maps)
        return [_sighting(crop, look, i) for i, crop in enumerate(crops)]


def _sighting(crop: HandCrop, look: Look, i: int) -> _Sighting:
    """What a look says of its i-th crop, in the picture."""
    right = float(look.right[i])
    return _Sighting(
        joints_2d=crop.to_picture(look.landmarks[i, :, :2]),
        joints_world=crop.axes_to_picture(look.world[i]),
        right=1 - right if crop.mirrored else right,
        look=HandLook(
            T_crop_picture=crop.T_crop_picture,
            mirrored=crop.mirrored,
            landmarks=look.landmarks[i],
            world=look.world[i],
            presence=float(look.presence[i]),
            right=right,
            maps=tuple(each[i] for each in look.maps) if look.maps else (),
        ),
    )


def _is_among(sighting: _Sighting, others: Sequence[_Sighting]) -> bool:
    return any(joint_distance(sighting.joints_2d, other.joints_2d) <= SAME_HAND for other in others)


def _is_palm_of(palm: Palm, sighting: _Sighting) -> bool:
    """Whether a palm is that of a hand that is followed: its joints are within half a palm of the hand's."""
    joints = sighting.joints_2d[list(PALM_JOINTS)]
    apart = np.linalg.norm(palm.joints - joints, axis=1).mean()
    return bool(apart < 0.5 * max(hand_size(palm.joints), hand_size(joints)))
