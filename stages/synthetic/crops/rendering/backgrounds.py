"""What is behind a hand: rooms out of focus, desks, cloth, clutter, people, walls; all painted, no photograph.

A background is linear colour as if lit evenly, (height, width, 3).
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.synthetic.crops.draws import chance, log_uniform
from stages.synthetic.crops.noise import FloatArray, Noise
from stages.synthetic.crops.rendering.materials import any_colour

Array = NDArray[np.float64]
Shape = tuple[int, int]


def any_background(rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Return a background (height, width, 3), sharp or not."""
    kinds: list[Callable[[np.random.Generator, Shape], FloatArray]] = [
        _clutter, _room, _surface, _keys, _person, _plain]  # fmt: skip
    kind = kinds[int(rng.choice(len(kinds), p=[0.3, 0.2, 0.2, 0.08, 0.12, 0.1]))]
    picture = kind(rng, shape)
    picture *= _slope(rng, shape)[..., None]
    if chance(rng, 0.5):
        picture = _blurred(picture, log_uniform(rng, 0.6, 9.0))
    return np.asarray(np.clip(picture, 0.001, 1.5), np.float32)


def _blurred(picture: FloatArray, sigma: float) -> FloatArray:
    """Return the picture out of focus; much blur is done on a smaller one."""
    if sigma < 2.5:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))
    size = picture.shape[1], picture.shape[0]
    small = cv2.resize(picture, (max(2, size[0] // 3), max(2, size[1] // 3)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 3), size, interpolation=cv2.INTER_LINEAR))


def _slope(rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Light (height, width) that falls off to one side."""
    height, width = shape
    direction, size = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    x, y = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    return np.asarray(np.exp(size * (np.cos(direction) * x + np.sin(direction) * y)), np.float32)


def _plane(rng: np.random.Generator, shape: Shape) -> tuple[Array, Array]:
    """Return coordinates (height, width) on a plane seen at a slant: about -1..1 across the picture."""
    height, width = shape
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = rng.uniform(0, 2 * np.pi)
    u, v = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    depth = 1 + rng.uniform(0, 0.6) * v
    return u / depth, v / depth


def _plain(rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Return a wall with hardly anything on it."""
    noise, (u, v) = Noise(rng), _plane(rng, shape)
    grain = 1 + rng.uniform(0, 0.12) * noise(u.ravel(), v.ravel(), rng.uniform(0.02, 0.8)).reshape(shape)
    return np.asarray(any_colour(rng) * grain[..., None], np.float32)


def _surface(rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Wood, cloth, stone, tiles or print, seen at a slant."""
    u, v = _plane(rng, shape)
    noise, first, second = Noise(rng), any_colour(rng), any_colour(rng)
    size = log_uniform(rng, 0.03, 0.3)

    def at(x: Array, y: Array, of: float) -> FloatArray:
        return noise(x.ravel(), y.ravel(), of).reshape(shape)

    kind = int(rng.integers(5))
    if kind == 0:  # wood
        rings = at(u, 0.08 * v, size) + 0.5 * at(u, 0.08 * v, size / 4) + 0.3 * at(u, 0.3 * v, 0.01)
        share = 0.5 + 0.4 * np.sin(3 * rings)
        second = first * np.exp(rng.normal(-0.4, 0.2, 3)).astype(np.float32)
    elif kind == 1:  # weave, stripes, checks
        a, b = np.sin(2 * np.pi * u / size), np.sin(2 * np.pi * v / size)
        share = 0.25 * ((a > rng.uniform(-1, 1)) + (b > rng.uniform(-1, 1.5))) + 0.12 * at(u, v, 0.015) + 0.2
    elif kind == 2:  # stone, soil, grass
        share = 0.5 + 0.5 * sum(at(u, v, size / 2**k) * 0.6**k for k in range(4))
    elif kind == 3:  # tiles
        gap = rng.uniform(0.02, 0.1)
        joint = ((u / size) % 1 < gap) | ((v / size + 0.5 * (np.floor(u / size) % 2)) % 1 < gap)
        share = np.where(joint, 1.0, 0.15 * at(u, v, size)) + 0.05 * at(u, v, 0.02)
    else:  # lines of print
        line = size / 4
        first, second = np.maximum(first, 0.4), second * 0.3
        inked = ((v / line) % 1 < 0.5) & (at(u, np.floor(v / line), line * 0.7) > -0.2) & (at(u, v, 0.5) > -0.6)
        share = 0.9 * inked
    return np.asarray(first + np.clip(share, -0.2, 1.2)[..., None] * (second - first), np.float32)


def _keys(rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Return a keyboard, or shelves, or blinds: rows of boxes."""
    u, v = _plane(rng, shape)
    size, gap = log_uniform(rng, 0.12, 0.4), rng.uniform(0.06, 0.25)
    wide = size * rng.choice([1.0, 1.0, 1.0, 3.0, 8.0])
    row = np.floor(v / size)
    a, b = (u / wide + 0.3 * row) % 1, (v / size) % 1
    key = (a > gap * size / wide) & (b > gap)
    of = np.abs(np.floor(u / wide + 0.3 * row) * 7919 + row * 104729).astype(np.int64) % 64
    tones = np.exp(rng.normal(0, rng.uniform(0.02, 0.4), 64)).astype(np.float32)
    label = ((a - 0.5) ** 2 * (wide / size) ** 2 + (b - 0.55) ** 2 < 0.02) & (tones[of] > 0.9)
    keys, ground, ink = any_colour(rng), any_colour(rng) * 0.4, any_colour(rng)
    picture = np.where(key[..., None], keys * tones[of][..., None], ground)
    return np.asarray(np.where((label & key)[..., None], ink, picture), np.float32)


def _clutter(rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Draw leaves of all sizes that cover one another, as in natural pictures (Lee, Mumford and Huang, "Occlusion
    models for natural images", IJCV 2001), each with a texture of its own."""
    height, width = shape
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = any_colour(rng)
    palette = np.stack([any_colour(rng) for _ in range(int(rng.integers(4, 12)))])
    count, least = int(rng.integers(25, 160)), log_uniform(rng, 0.015, 0.1)
    angular = rng.random()
    sizes = np.sort(np.minimum(least * rng.pareto(1.2, count) + least, 0.8))[::-1] * max(shape)
    for size in sizes:
        colour = (palette[rng.integers(len(palette))] * np.exp(rng.normal(0, 0.15))).tolist()
        x, y = rng.uniform(-0.1, 1.1, 2) * (width, height)
        if rng.random() < angular:
            spin = rng.normal(0, 0.15) if chance(rng, 0.6) else rng.uniform(0, np.pi)
            half = np.array([1.0, log_uniform(rng, 0.1, 1.0)]) * size / 2
            corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
            c, s = np.cos(spin), np.sin(spin)
            points = corners @ np.array([[c, s], [-s, c]]) + (x, y)
            cv2.fillConvexPoly(picture, np.round(points * 16).astype(np.int32), colour, cv2.LINE_AA, 4)
        else:
            axes = (max(1, int(size / 2)), max(1, int(size / 2 * rng.uniform(0.3, 1))))
            cv2.ellipse(picture, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    noise, (u, v) = Noise(rng), _plane(rng, shape)
    texture = noise(u.ravel(), v.ravel(), 0.3) + 0.7 * noise(u.ravel(), v.ravel(), 0.05)
    picture *= np.exp(rng.uniform(0, 0.35) * texture.reshape(shape))[..., None]
    return picture


def _room(rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Return walls, furniture, a window or lamps, mostly upright."""
    height, width = shape
    picture = np.empty((height, width, 3), np.float32)
    wall, floor = any_colour(rng), any_colour(rng)
    horizon = int(height * rng.uniform(0.2, 1.3))
    picture[:] = wall
    picture[max(0, horizon) :] = floor
    if chance(rng, 0.5):
        corner = int(width * rng.random())
        picture[:horizon, corner:] *= rng.uniform(0.55, 0.9)
    for _ in range(int(rng.integers(2, 14))):
        colour = any_colour(rng).tolist()
        w, h = (np.exp(rng.uniform(np.log(0.04), np.log(0.6), 2)) * (width, height)).astype(int)
        x, y = int(rng.uniform(-0.2, 1) * width), int(rng.uniform(-0.2, 1) * height)
        cv2.rectangle(picture, (x, y), (x + int(w), y + int(h)), colour, -1)
        if chance(rng, 0.4):
            inner = any_colour(rng).tolist()
            border = max(1, int(min(w, h) * 0.12))
            cv2.rectangle(picture, (x + border, y + border), (x + int(w) - border, y + int(h) - border), inner, -1)
    if chance(rng, 0.35):  # a window or a lamp, brighter than anything
        x, y = (rng.uniform(0, 1, 2) * (width, height)).astype(int)
        size = rng.uniform(0.03, 0.3) * width
        bright = (rng.uniform(0.9, 1.5) * np.exp(rng.normal(0, 0.1, 3))).tolist()
        if chance(rng, 0.5):
            cv2.circle(picture, (int(x), int(y)), int(size / 2) + 1, bright, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(picture, (int(x), int(y)), (int(x + size), int(y + 1.4 * size)), bright, -1)
    return _blurred(picture, log_uniform(rng, 0.5, 5.0))


def _person(rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Return somebody's head and shoulders, or just their clothes or skin, behind the hand."""
    height, width = shape
    picture = _room(rng, shape)
    skin = np.array([0.62, 0.36, 0.25]) * np.exp(rng.normal(-0.6, 0.6)) * np.exp(rng.normal(0, 0.1, 3))
    hair, shirt = any_colour(rng) * 0.25, any_colour(rng)
    size = rng.uniform(0.25, 0.9) * width
    x, y = rng.uniform(0, 1) * width, rng.uniform(-0.1, 0.9) * height

    def oval(cx: float, cy: float, rx: float, ry: float, colour: FloatArray | Array) -> None:
        centre, axes = (int(cx), int(cy)), (max(1, int(rx)), max(1, int(ry)))
        cv2.ellipse(picture, centre, axes, rng.normal(0, 6), 0, 360, np.asarray(colour).tolist(), -1, cv2.LINE_AA)

    oval(x, y + 1.7 * size, 1.15 * size, 0.95 * size, shirt)
    oval(x, y + 0.7 * size, 0.22 * size, 0.4 * size, skin * 0.8)
    oval(x, y - 0.12 * size, 0.46 * size, 0.55 * size, hair)
    oval(x, y, 0.38 * size, 0.52 * size, skin)
    for side in (-1, 1):
        oval(x + side * 0.15 * size, y - 0.06 * size, 0.06 * size, 0.025 * size, hair)
    oval(x, y + 0.1 * size, 0.05 * size, 0.1 * size, skin * 0.85)
    oval(x, y + 0.26 * size, 0.13 * size, 0.03 * size, skin * (0.8, 0.5, 0.5))
    noise, (u, v) = Noise(rng), _plane(rng, shape)
    picture *= np.exp(0.12 * noise(u.ravel(), v.ravel(), 0.25).reshape(shape))[..., None]
    return _blurred(picture, log_uniform(rng, 0.5, 6.0))
