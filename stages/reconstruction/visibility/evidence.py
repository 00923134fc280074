"""What speaks for a joint being in sight, and against it, as numbers that a logistic curve weighs."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats, Array
from stages.common.proximity import hand_size
from stages.packets import FrameMeta, Hand, HandBox, Image
from stages.reconstruction.visibility.flesh import covers

NAMES: Final = (
    "flesh", "flesh deep", "other hand deep", "inside", "near the border", "presence", "presence unknown", "off",
    "off of the hand", "extrapolated", "colour", "brightness", "flesh and presence", "flesh and brightness",
    "colour and brightness",
)  # fmt: skip
"""What each number is; to them a constant of each joint is added."""

_BORDER: Final = 0.15  # of the hand's size in the picture
_MOST_OFF: Final = 0.4  # of the hand's size
_LEAST_PRESENCE: Final = 1e-3
_USUAL_PRESENCE: Final = 0.6  # as a logit over 5
_ENOUGH: Final = 5  # joints, to say what the hand looks like


def evidence(hands: Sequence[Hand], boxes: Sequence[HandBox | None], meta: FrameMeta, image: Image) -> Array:
    """Return the numbers (N, 21, len(NAMES)) of a frame's hands; a box is what the detector saw of the hand, if it did.

    They are: how deep the joint is behind flesh, its own hand's or another's, or by how much that misses it (`covers`),
    and how deep behind another's; how far outside the picture it is, or how near to its border inside; how surely the
    detector saw a hand; how far the joint and the hand as a whole are from where it saw them; whether it missed the
    hand; how unlike the rest of the hand the picture is at the joint, in colour and in brightness; and products of
    some of them.
    """
    found = np.zeros((len(hands), 21, len(NAMES)))
    hidden = covers(np.stack([hand.joints.astype(np.float64) for hand in hands]))
    for i, (hand, box) in enumerate(zip(hands, boxes, strict=True)):
        own, other = hidden[i].T
        size = hand_size(hand.joints_2d)
        flesh = np.maximum(own, other)
        found[i, :, 0], found[i, :, 1] = flesh, np.maximum(flesh, 0)
        found[i, :, 2] = np.maximum(other, 0)
        found[i, :, 3:5] = _border(hand.joints_2d, meta, size)
        found[i, :, 5:7] = _presence(box)
        found[i, :, 7:9] = _off(hand, box, size)
        found[i, :, 9] = not hand.seen
        colour, brightness = _unlike(hand.joints_2d, flesh, image).T
        found[i, :, 10], found[i, :, 11] = colour, brightness
        found[i, :, 12], found[i, :, 13] = flesh * found[i, :, 5], flesh * brightness
        found[i, :, 14] = colour * brightness
    return found


def _border(joints_2d: AnyFloats, meta: FrameMeta, size: float) -> Array:
    """Return how far joints (21, 2) px are outside, from 0 down to -2, and how near to the border inside: (21, 2)."""
    edges = np.concatenate([joints_2d, (meta.width, meta.height) - joints_2d], 1).min(1) / size
    near = np.where(edges >= 0, 1 - np.clip(edges / _BORDER, 0, 1), 0)
    return np.stack([np.clip(edges / _BORDER, -2, 0), near], 1)


def _presence(box: HandBox | None) -> tuple[float, float]:
    """Return the detector's certainty that there is a hand, as a logit over 5, and whether it said none."""
    if box is None or box.look is None:
        return _USUAL_PRESENCE, 1.0
    presence = min(max(box.look.presence, _LEAST_PRESENCE), 1 - _LEAST_PRESENCE)
    return float(np.log(presence / (1 - presence))) / 5, 0.0


def _off(hand: Hand, box: HandBox | None, size: float) -> Array:
    """Return how far each joint, and the hand on average, is from where it was seen, of the hand's size: (21, 2)."""
    if box is None:
        return np.zeros((21, 2))
    apart = np.linalg.norm(hand.joints_2d.astype(np.float64) - box.joints_2d, axis=1) / size
    return np.stack([np.minimum(apart, _MOST_OFF), np.full(21, min(float(apart.mean()), _MOST_OFF))], 1) / 0.1


def _unlike(joints_2d: AnyFloats, flesh: Array, image: Image) -> Array:
    """Return how unlike the hand's middle colour and brightness the picture is at each joint, 0 to 1: (21, 2)."""
    height, width = image.shape[:2]
    x, y = np.clip(np.floor(joints_2d), 0, (width - 1, height - 1)).astype(np.intp).T
    return unlike(image[y, x], flesh)


def unlike(colours: Image, flesh: Array) -> Array:
    """Return how unlike the middle of the hand these colours (21, 3) RGB are, in colour and in brightness: (21, 2)."""
    light = (colours.astype(np.float64) + 2) / 257
    sums = light.sum(1)
    hues = light / sums[:, None]
    shown = flesh < 0 if (flesh < 0).sum() >= _ENOUGH else np.ones(21, bool)
    colour = np.abs(hues - np.median(hues[shown], axis=0)).sum(1)
    brightness = np.abs(np.log(sums / np.median(sums[shown])))
    return np.stack([np.minimum(colour / 0.15, 1), np.minimum(brightness / 1.5, 1)], 1)
