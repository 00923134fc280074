"""Colours of cloth and of things, place by place."""

import numpy as np
from numpy.typing import NDArray

from stages.synthetic.crops.draws import chance
from stages.synthetic.crops.noise import FloatArray, Noise, smooth
from stages.synthetic.crops.rendering.drawing import Painter, Spot

Array = NDArray[np.float64]


def any_colour(rng: np.random.Generator) -> FloatArray:
    """Return a linear colour (3,): greys, muted and bright ones, and some like skin or wood."""
    kind = rng.random()
    value = rng.uniform(0.02, 0.9) ** 1.6
    if kind < 0.4:
        colour = value * np.exp(rng.normal(0, 0.06, 3))
    elif kind < 0.58:
        colour = np.array([0.62, 0.36, 0.22]) * rng.uniform(0.15, 1.3) * np.exp(rng.normal(0, 0.1, 3))
    else:
        colour = value * np.exp(rng.normal(0, rng.uniform(0.15, 0.8), 3))
    return np.asarray(np.clip(colour, 0.004, 0.95), np.float32)


def cloth_painter(rng: np.random.Generator) -> Painter:
    """Plain, striped or chequered cloth with a weave."""
    first, second, noise = any_colour(rng), any_colour(rng), Noise(rng)
    pattern = str(rng.choice(["plain", "along", "across", "checks"], p=[0.62, 0.12, 0.14, 0.12]))
    width, weave, gloss = rng.uniform(0.004, 0.03), rng.uniform(0.0008, 0.004), rng.uniform(0.0, 0.25)
    depth = rng.uniform(0.03, 0.2)

    def paint(spot: Spot) -> tuple[FloatArray, FloatArray]:
        x, y, z = spot.local[:, 0], spot.local[:, 1], spot.local[:, 2]
        around = 0.03 * np.arctan2(z, x)
        share = np.zeros(len(x), np.float32)
        if pattern in ("along", "checks"):
            share += smooth(-0.15, 0.15, np.sin(around * (2 * np.pi / width)))
        if pattern in ("across", "checks"):
            share += smooth(-0.15, 0.15, np.sin(y * (2 * np.pi / width)))
        mixed = share[:, None] / np.float32(2 if pattern == "checks" else 1)
        colour = first * (1 - mixed) + second * mixed
        knit = 1 + depth * noise(around, y, weave) + 0.08 * noise(around, y, 0.02)
        return np.asarray(colour * knit[:, None], np.float32), np.full(len(x), gloss, np.float32)

    return paint


def band_painter(rng: np.random.Generator) -> Painter:
    """Leather, rubber, metal: one colour, some shine."""
    colour = np.array([0.75, 0.62, 0.36], np.float32) if chance(rng, 0.3) else any_colour(rng)
    gloss, noise = float(rng.uniform(0.3, 4)), Noise(rng)

    def paint(spot: Spot) -> tuple[FloatArray, FloatArray]:
        grain = 1 + 0.1 * noise(spot.local[:, 0] + spot.local[:, 2], spot.local[:, 1], 0.002)
        return np.asarray(colour * grain[:, None], np.float32), np.full(len(grain), gloss, np.float32)

    return paint


def thing_painter(rng: np.random.Generator) -> Painter:
    """Wood, plastic, metal, paper with print on it, or a screen."""
    first, second, noise = any_colour(rng), any_colour(rng), Noise(rng)
    kind = str(rng.choice(["plain", "grain", "print", "bands", "screen"], p=[0.35, 0.2, 0.2, 0.15, 0.1]))
    size, gloss = float(rng.uniform(0.003, 0.02)), float(rng.uniform(0, 3.5))
    light = float(rng.uniform(0.3, 1.2))

    def paint(spot: Spot) -> tuple[FloatArray, FloatArray]:
        x, y, z = spot.local[:, 0], spot.local[:, 1], spot.local[:, 2]
        u, v = x + 0.4 * z, y + 0.7 * z
        grain = 1 + 0.05 * noise(u, v, 0.003)
        if kind == "grain":
            share = smooth(-0.7, 0.7, noise(u, 0.12 * v, size))
        elif kind == "print":
            share = smooth(0.1, 0.2, noise(u, 3 * v, size)) * smooth(-0.2, 0.0, np.sin(v * (6.28 / size)))
        elif kind == "bands":
            share = smooth(-0.1, 0.1, np.sin(v * (6.28 / (3 * size)) + 1))
        elif kind == "screen":
            share = smooth(0, 0.05, noise(u, v, 0.03)) * light
        else:
            share = np.zeros(len(x), np.float32)
        colour = first + share[:, None] * (second - first)
        return np.asarray(colour * grain[:, None], np.float32), np.full(len(x), gloss, np.float32)

    return paint
