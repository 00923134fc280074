"""Which of a video's frames are worth measuring: those in which the board is seen, and not as it was before."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from stages.calibration.boards import Board, Corners
from stages.packets import Frame, Image

MOST: Final = 60
"""Views that are kept: more cost time and tell nothing new."""

_CELLS: Final = (8, 6)  # of the picture, by which its coverage is told
_STEP: Final = 0.04  # of the picture's diagonal; a board that has moved less is as it was
EVERY: Final = 0.1
"""Seconds between frames of a video that are looked at."""


@dataclass(frozen=True, eq=False)
class View:
    """The board in a frame."""

    frame: int
    corners: Corners
    image: Image  # (H, W, 3) RGB


class Views:
    """Takes frames of one camera and keeps what is of use, spread over all that was seen."""

    def __init__(self, board: Board, *, every: float = EVERY) -> None:
        """`every`: seconds between frames that are looked at; 0 for pictures that somebody has chosen."""
        self.board, self.every = board, every
        self.kept: list[View] = []
        self.looked_at = self.seen = 0
        self.size: tuple[int, int] | None = None
        self._last = -np.inf  # pts, s

    def add(self, frame: Frame) -> bool:
        """Look at a frame; gives whether the board is in it. Frames of another size than the first are passed over."""
        size = frame.meta.width, frame.meta.height
        self.size = self.size or size
        if size != self.size or frame.meta.pts < self._last + self.every:
            return False
        self._last = frame.meta.pts
        self.looked_at += 1
        corners = self.board.find(np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), np.uint8))
        if corners is None:
            return False
        self.seen += 1
        if all(self._differs(corners, view.corners) for view in self.kept):
            self.kept.append(View(frame.meta.index, corners, frame.image))
            if len(self.kept) > MOST:
                self._drop_one()
        return True

    def coverage(self) -> float:
        """Return the share of the picture, in cells of an eighth by a sixth, in which a corner was seen."""
        if self.size is None:
            return 0.0
        cells = {
            (int(x * _CELLS[0] / self.size[0]), int(y * _CELLS[1] / self.size[1]))
            for view in self.kept
            for x, y in view.corners.places
        }
        return len(cells) / (_CELLS[0] * _CELLS[1])

    def _differs(self, one: Corners, other: Corners) -> bool:
        return self._distance(one, other) > _STEP

    def _distance(self, one: Corners, other: Corners) -> float:
        """By how much the corners that both have lie apart, as a share of the diagonal; 1 where there are none."""
        common, mine, theirs = np.intersect1d(one.ids, other.ids, return_indices=True)
        if not len(common) or self.size is None:
            return 1.0
        apart = np.linalg.norm(one.places[mine] - other.places[theirs], axis=1).mean()
        return float(apart / np.hypot(*self.size))

    def _drop_one(self) -> None:
        """Let go of the view that is most like another."""
        apart = np.array([[self._distance(a.corners, b.corners) for b in self.kept] for a in self.kept])
        np.fill_diagonal(apart, np.inf)
        del self.kept[int(apart.min(1).argmin())]
