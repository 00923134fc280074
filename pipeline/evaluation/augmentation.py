"""Test-time augmentation looks at one hand many times, turned and scaled, and fuses the answers.

This is how the Hamba release evaluates: crops of 0.7 to 1.1 times the size are turned by 0 and by 10 to 90 degrees
either way; each answer is aligned to the one of the plain crop, and the mean of all is taken.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, cos, radians, sin
from typing import Final

import numpy as np

from hamba_core.metrics import procrustes
from hamba_core.view import Intrinsics, square_around
from pipeline.evaluation.published_data import Answer, Sample

SCALES: Final = (0.7, 0.8, 0.9, 1.0, 1.1)
ROTATIONS: Final = tuple(range(-90, 91, 10))
PLAIN: Final = SCALES.index(1.0) * len(ROTATIONS) + ROTATIONS.index(0)
"""The place of the plain one among all that `augmented` gives."""


def augmented(sample: Sample, rescale: float) -> list[Sample]:
    """Return the hand in 95 pictures, all scales of one rotation at a time; `rescale` is the crop's size in boxes.

    A turned picture is the middle of the given one about the box, large enough for the largest crop, with the camera
    turned about its axis; outside the given picture it is black. The plain one is the sample itself.
    """
    samples = [
        _turned(sample, scale, angle, rescale) if (scale, angle) != (1.0, 0) else sample
        for scale in SCALES
        for angle in ROTATIONS
    ]
    return [replace(one, name=f"{sample.name}#{number}") for number, one in enumerate(samples)]


def _turned(sample: Sample, scale: float, angle: int, rescale: float) -> Sample:
    import cv2

    left, top, right, bottom = sample.box.astype(np.float64).tolist()
    x, y = (left + right) / 2, (top + bottom) / 2
    size = ceil(max(SCALES) * square_around(sample.box, rescale).side)
    c, s = cos(radians(angle)), sin(radians(angle))
    turn = np.array([[c, -s], [s, c]])
    move = np.array([size / 2, size / 2]) - turn @ (x, y)
    # Our coordinates have their origin at a pixel's corner, OpenCV's at its centre.
    in_opencv = move + turn @ (0.5, 0.5) - 0.5
    image = cv2.warpAffine(sample.image, np.column_stack([turn, in_opencv]), (size, size), flags=cv2.INTER_LINEAR)
    camera = sample.camera
    cx, cy = turn @ (camera.cx, camera.cy) + move
    focal = (camera.fx + camera.fy) / 2  # a turned picture has its axes between the given ones
    turned = Intrinsics(focal, focal, float(cx), float(cy), camera.estimated)
    half = scale * np.array([right - left, bottom - top]) / 2
    box = np.concatenate([size / 2 - half, size / 2 + half]).astype(np.float32)
    return Sample(sample.name, np.asarray(image, np.uint8), turned, box, sample.side)


def fused(answers: Sequence[Answer | None]) -> Answer | None:
    """Return the mean of the answers, each aligned to the plain one (`PLAIN`) by its mesh, without reflection.

    Answers that are None are left out; without the plain one there is no mean.
    """
    plain = answers[PLAIN]
    if plain is None:
        return None
    given = [answer for answer in answers if answer is not None]
    joints, vertices = (np.stack([getattr(answer, name) for answer in given]) for name in ("joints", "vertices"))
    similarity = procrustes(vertices, np.broadcast_to(plain.vertices, vertices.shape))
    return Answer(similarity.apply(joints).mean(0), similarity.apply(vertices).mean(0))
