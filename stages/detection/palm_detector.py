"""MediaPipe's palm network finds palms in a whole picture; ONNX Runtime runs it on the CPU.

The network says of each of 2,016 anchors, places on two grids over the picture, how likely a palm is there, its box,
and seven joints of the hand. What several anchors say of one palm is averaged, weighted by their scores.
"""

from typing import Any, Final, NamedTuple

import cv2
import numpy as np

from hamba_core.arrays import Array
from stages.assets import PALM_NETWORK, PALM_NETWORK_SHA256
from stages.detection.exposure import exposed
from stages.detection.hand_crop import HandCrop, square_around
from stages.detection.onnx_session import open_session
from stages.detection.search_regions import SEEN, Region
from stages.packets import Image

PALM_JOINTS: Final = (0, 5, 9, 13, 17, 1, 2)
"""Which of a hand's 21 joints the palm network gives, in its order."""

_GRIDS: Final = ((24, 2), (12, 6))  # places along a side, anchors at each
_BRIGHTEST: Final = 0.005  # of a picture, by which its light is measured: a hand may take as little of it
_ONE_PALM: Final = 0.3  # intersection over union from which on two boxes are of one palm
# From a palm's box to the hand's crop, as `palm_detection_detection_to_roi` has it.
_SCALE: Final = 2.6
_SHIFT: Final = 0.5  # of the box's height, towards the fingers


class Palm(NamedTuple):
    """A palm in a picture, px."""

    score: float  # 0 to 1
    box: Array  # (4,) left, top, right, bottom
    joints: Array  # (7, 2): those of PALM_JOINTS

    def crop(self) -> HandCrop:
        """Return the crop of the whole hand, upright."""
        corners = self.box.reshape(2, 2)
        centre, long_side = corners.mean(0), np.ptp(corners, axis=0).max()
        return square_around(centre, _SCALE * long_side, self.joints[2] - self.joints[0], _SHIFT * long_side)


class PalmDetector:
    """The network, loaded. Use it from one thread at a time.

    Raises DependencyError, WeightsError where it cannot be loaded.
    """

    def __init__(self) -> None:
        self._session: Any = open_session(PALM_NETWORK, PALM_NETWORK_SHA256)
        self._anchors = np.concatenate([_grid(places, count) for places, count in _GRIDS])  # (2016, 2) 0 to 1

    def find(self, image: Image, least_score: float = 0.5, region: Region | None = None) -> list[Palm]:
        """Return the palms in a picture (H, W, 3) RGB, or in a region of it, the likeliest first.

        Palms are left out whose box reaches out of the region into more of the picture: they are cut there.
        """
        height, width = image.shape[:2]
        region = region or Region.whole(width, height)
        left, top = region.left, region.top
        shown, scale, corner = _letterbox(image[top : top + region.height, left : left + region.width], region.margin)
        boxes, logits = self._session.run(["boxes", "scores"], {"crops": shown[None]})
        scores = 1 / (1 + np.exp(-np.clip(logits[0].astype(np.float64), -100, 100)))
        likely = np.flatnonzero(scores >= least_score)
        if not len(likely):
            return []
        # Each anchor has the box's centre and size, then the joints; all but the size count from the anchor's place.
        numbers = boxes[0, likely].astype(np.float64).reshape(-1, 9, 2) / SEEN
        anchors = self._anchors[likely]
        centres, sizes = numbers[:, 0] + anchors, numbers[:, 1]
        points = np.concatenate(
            [np.stack([centres - sizes / 2, centres + sizes / 2], 1), numbers[:, 2:] + anchors[:, None]], 1
        )  # (N, 9, 2): two corners, seven joints
        points = (points * SEEN - corner) / scale + (left, top)
        return [palm for palm in _merged(points, scores[likely]) if _is_whole(palm, region, width, height)]


def _is_whole(palm: Palm, region: Region, width: int, height: int) -> bool:
    """Return whether a palm's own box lies in the region, but where the picture itself ends."""
    left, top, right, bottom = palm.box
    return bool(
        (left >= region.left or region.left == 0)
        and (top >= region.top or region.top == 0)
        and (right <= region.left + region.width or region.left + region.width >= width)
        and (bottom <= region.top + region.height or region.top + region.height >= height)
    )


def _grid(places: int, count: int) -> Array:
    """Return the anchors (places² · count, 2) of a grid: row by row, `count` at each place."""
    y, x = np.mgrid[:places, :places]
    return np.repeat((np.stack([x, y], -1).reshape(-1, 2) + 0.5) / places, count, 0)


def _letterbox(image: Image, margin: float) -> tuple[Image, float, Array]:
    """Return the picture in a black square (192, 192, 3), its scale, and the place (2,) of its corner in the square."""
    height, width = image.shape[:2]
    scale = SEEN / (max(height, width) * (1 + 2 * margin))
    columns, rows = max(round(width * scale), 1), max(round(height * scale), 1)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (SEEN - columns) // 2, (SEEN - rows) // 2
    square = np.zeros((SEEN, SEEN, 3), np.uint8)
    small = np.asarray(cv2.resize(image, (columns, rows), interpolation=way), np.uint8)
    square[top : top + rows, left : left + columns] = exposed(small, _BRIGHTEST)
    return square, scale, np.array([left, top], np.float64)


def _merged(points: Array, scores: Array) -> list[Palm]:
    """Merge all boxes that overlap the likeliest one into one palm, and so on with the rest."""
    palms = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        best = left[0]
        same = _overlaps(points[best, :2], points[left, :2]) > _ONE_PALM
        same[0] = True
        weights = scores[left[same]]
        mean = np.einsum("n,nij->ij", weights / weights.sum(), points[left[same]])
        palms.append(Palm(float(scores[best]), mean[:2].reshape(4), mean[2:]))
        left = left[~same]
    return palms


def _overlaps(box: Array, boxes: Array) -> Array:
    """Return the intersection over union (N,) of a box (2, 2) with boxes (N, 2, 2), given by two corners."""
    shared = np.clip(np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0]), 0, None).prod(1)
    union = np.clip(box[1] - box[0], 0, None).prod() + np.clip(boxes[:, 1] - boxes[:, 0], 0, None).prod(1) - shared
    overlaps: Array = shared / np.maximum(union, 1e-9)
    return overlaps
