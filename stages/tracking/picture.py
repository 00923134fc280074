"""This module tells what the picture as a whole does from one frame to the next: it moves, or it is cut.

A small grey copy of each frame is compared with the one before, outside the hands, which move by themselves. A cut is
a picture that is neither like the one before nor the same moved. Cameras' grain makes no two pictures alike, so they
are compared without it, blurred.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats, Array
from stages.packets import Image

Boxes = Iterable[AnyFloats]

_WIDTH: Final = 128  # px of the small copy, about
_LEAST_OUTSIDE: Final = 0.2  # of the picture: with less of it outside the hands nothing is said
_ALIKE: Final = 0.6  # correlation from which on two pictures are one scene
_UNCHANGED: Final = 1.5  # grey levels, mean difference of a picture that stands still
_DIFFERENT: Final = 10.0  # grey levels, mean difference below which a cut would not be noticed
_BLOCK: Final = 8  # px of the small copy
_GRAIN: Final = 5  # px of the small copy, over whose square the grain is averaged out
_UNCHANGED_AT_A_CUT: Final = 0.2  # of the blocks: more than chance keeps; something large moves there
_CORNERS: Final = 60
_LEAST_CORNERS: Final = 10
_LEAST_AGREEING: Final = 0.5  # of the corners
_REACH: Final = 1.0  # px of the small copy, within which corners agree

STILL: Final = np.eye(2, 3)


class PictureWatch:
    """Compares each frame with the one before."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._before: Image | None = None
        self._last: Image | None = None
        self._now: Image | None = None
        self._last_calm: Image | None = None  # without grain
        self._calm: Image | None = None
        self._outside = np.zeros((1, 1), np.uint8)
        self._step = 2  # px of the picture for one of the small copy
        self._motion: Array | None = None
        self._measured = False

    def see(self, image: Image, hands: Boxes) -> None:
        """Take the next frame (H, W, 3), and the boxes (4,) px of hands in it and in the frame before."""
        size = image.shape[1], image.shape[0]
        alike = size == self._size
        self._before, self._last = (self._last, self._now) if alike else (None, None)
        self._last_calm = self._calm if alike else None
        self._size, self._step = size, 2 * max(1, round(max(size) / (2 * _WIDTH)))
        self._now = _small(image, self._step)
        self._calm = _without_grain(self._now)
        self._outside = _outside(self._now.shape[:2], hands, self._step)
        self._measured = False

    def forget(self) -> None:
        """Forget the frame before: the next one has nothing to do with it."""
        self._last = self._now = self._calm = self._size = None

    @property
    def is_cut(self) -> bool:
        """Whether this frame shows another scene than the one before; false if there was no frame before."""
        if self._last is None or self._now is None or self._outside.mean() < _LEAST_OUTSIDE:
            return False
        apart = self._difference(self._last_calm, self._calm)
        if apart < _DIFFERENT or self._likeness() > _ALIKE or self._unchanged() > _UNCHANGED_AT_A_CUT:
            return False
        return self._corners_motion(self._last, self._now) is None

    def motion(self) -> Array | None:
        """Return how the picture moved since the frame before, (2, 3): matrix and shift, px; None if not known."""
        if self._last is None:
            return None
        if not self._measured:
            self._measured, self._motion = True, self._measure()
        return self._motion

    def shift_before(self, point: Array) -> Array:
        """Return how far the picture moved here, at (2,), between the two frames before this one, px; 0 if unknown."""
        moved = self._corners_motion(self._before, self._last)
        return np.zeros(2) if moved is None else moved[:, :2] @ point + moved[:, 2] - point

    def _measure(self) -> Array | None:
        if self._difference(self._last, self._now) < _UNCHANGED:
            return STILL
        moved = self._corners_motion(self._last, self._now)
        if moved is None:
            # There is nothing to hold on to: a plain wall, say, in another light.
            return STILL if self._likeness() > _ALIKE else None
        return moved

    def _corners_motion(self, last: Image | None, now: Image | None) -> Array | None:
        """Return the motion that most corners outside the hands agree on."""
        import cv2

        if last is None or now is None:
            return None
        corners = cv2.goodFeaturesToTrack(last, _CORNERS, 0.02, 4, mask=self._outside)
        if corners is None or len(corners) < _LEAST_CORNERS:
            return None
        found, status, _ = cv2.calcOpticalFlowPyrLK(
            last, now, corners, np.zeros_like(corners), winSize=(11, 11), maxLevel=4
        )
        followed = status[:, 0] == 1
        if followed.sum() < _LEAST_CORNERS:
            return None
        matrix, agreeing = cv2.estimateAffinePartial2D(corners[followed], found[followed], ransacReprojThreshold=_REACH)
        if matrix is None or agreeing.sum() < max(_LEAST_CORNERS, _LEAST_AGREEING * len(corners)):
            return None
        moved: Array = matrix.astype(np.float64)
        moved[:, 2] *= self._step
        return moved

    def _difference(self, last: Image | None, now: Image | None) -> float:
        """Return the mean difference of two small copies outside the hands, grey levels."""
        import cv2

        if last is None or now is None:
            return 0.0
        difference = cv2.norm(last, now, cv2.NORM_L1, self._outside)
        return float(difference) / max(int(np.count_nonzero(self._outside)), 1)

    def _unchanged(self) -> float:
        """Return the share of the picture outside the hands that is as before."""
        import cv2

        if self._last_calm is None or self._calm is None:
            return 1.0
        blocks = tuple(max(1, side // _BLOCK) for side in self._calm.shape[::-1])
        apart = cv2.resize(cv2.absdiff(self._last_calm, self._calm), blocks, interpolation=cv2.INTER_AREA)
        outside = cv2.resize(self._outside, blocks, interpolation=cv2.INTER_NEAREST) > 0
        return float((apart[outside] < _DIFFERENT / 2).mean()) if outside.any() else 1.0

    def _likeness(self) -> float:
        """Return the correlation of the pictures outside the hands, -1 to 1; 1 if both are plain, 0 if one is."""
        if self._last_calm is None or self._calm is None:
            return 1.0
        where = self._outside.astype(bool)
        first, second = (picture[where].astype(np.float64) for picture in (self._last_calm, self._calm))
        first -= first.mean()
        second -= second.mean()
        plain = _UNCHANGED * np.sqrt(len(first))
        contrasts = np.sqrt([first @ first, second @ second])
        if contrasts.min() <= plain:
            return float(contrasts.max() < 2 * plain)
        return float(first @ second / contrasts.prod())


def _small(image: Image, step: int) -> Image:
    """Return a small grey copy; each of its pixels is the mean green of two neighbours, `step` pixels from the next."""
    rows = image[::step, :, 1]
    first, second = rows[:, ::step], rows[:, step // 2 :: step]
    columns = second.shape[1]
    return (first[:, :columns] >> 1) + (second >> 1)


def _without_grain(small: Image) -> Image:
    import cv2

    return np.asarray(cv2.blur(small, (_GRAIN, _GRAIN)), np.uint8)


def _outside(shape: tuple[int, ...], hands: Boxes, step: int) -> Image:
    """Return a mask of the small copy: 1 where no hand is, 0 elsewhere."""
    outside = np.ones(shape, np.uint8)
    for box in hands:
        left, top, right, bottom = (int(min(max(side / step, 0), 1e4)) for side in box.tolist())
        outside[top : bottom + 1, left : right + 1] = 0
    return outside
