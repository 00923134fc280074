"""The skin's colours over a hand: tone, mottling, blood under it, creases, knuckles, nails.

Everything is painted in the rest pose and in palm coordinates (metres from the wrist: towards the thumb's side,
towards the fingers, out of the palm), so that it moves with the hand.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hamba_core.arrays import Array, Float32Array
from hamba_core.hand import FINGERS, JOINT_NAMES, MODEL_JOINT_NAMES, MODEL_JOINTS_IN_21, HandModel, joint_axes
from stages.common.srgb import to_linear
from stages.synthetic.motion import palm_basis
from stages.synthetic.surfaces.noise import Noise

TONES: tuple[tuple[int, int, int], ...] = (
    (241, 203, 181), (230, 184, 156), (214, 163, 130), (190, 136, 102), (158, 107, 78), (118, 77, 56), (86, 56, 42),
)  # fmt: skip
"""sRGB colours of the back of a hand, from light to dark."""


def linear(srgb: NDArray[np.generic] | tuple[int, ...]) -> Float32Array:
    """Turn sRGB 0..255 into linear light 0..1."""
    stored: Float32Array = np.asarray(srgb, np.float32) / np.float32(255)
    return to_linear(stored)


@dataclass(frozen=True, eq=False)
class Spots:
    """Places on the resting skin, all in palm coordinates."""

    points: Float32Array  # (N, 3) m
    normals: Float32Array  # (N, 3) unit
    weights: Float32Array  # (N, 16) skinning weights; the wrist's own beyond the wrist


def _smooth(low: float, high: float, x: Float32Array) -> Float32Array:
    """Return 0 below `low`, 1 above `high`, smooth between; it falls if low > high."""
    s = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(s * s * (3 - 2 * s), np.float32)


def _bump(x: Float32Array, width: float) -> Float32Array:
    return np.asarray(np.exp(-((x / width) ** 2)), np.float32)


def _curve(points: list[tuple[float, float]]) -> Array:
    """Return a quadratic Bézier curve (60, 2) through its control points."""
    t = np.linspace(0, 1, 60)[:, None]
    a, b, c = np.array(points)
    return np.asarray((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t * t * c)


class Skin:
    """It paints one person's hands."""

    def __init__(self, model: HandModel, betas: Array, tone: int, rng: np.random.Generator) -> None:
        self._noise = Noise(rng)
        self._dark = tone / (len(TONES) - 1)
        back = linear(TONES[tone]) * rng.uniform(0.94, 1.06)
        self._back = back
        # Palms hold little melanin: the darker the skin, the more they differ from the back.
        light_palm = linear((236, 184, 164))
        share = 0.35 + 0.15 * self._dark
        self._palm = (1 - share) * back + share * light_palm * (1 - 0.35 * self._dark)
        rest = model.rest_joints_21(betas)
        basis = palm_basis(rest)
        self._joints = ((rest - rest[0]) @ basis).astype(np.float32)
        self._axes = (joint_axes(rest) @ basis).astype(np.float32)  # (15, 3, 3): flexion, abduction (dorsal), twist
        shaped = (model.v_template + model.shapedirs @ betas - rest[0]) @ basis
        self._half_widths = self._finger_half_widths(shaped, model.weights)
        self._curves = self._palm_creases()

    def _finger_half_widths(self, vertices: Array, weights: Array) -> dict[str, float]:
        """Return half the width of each finger's last segment, metres."""
        result = {}
        for finger in FINGERS:
            last = MODEL_JOINT_NAMES.index(f"{finger}_3")
            mine = vertices[weights[:, last] > 0.7]
            result[finger] = float(np.abs((mine - mine.mean(0)) @ self._axes[last - 1, 0]).max())
        return result

    def _palm_creases(self) -> Array:
        """Return points (N, 2) along the three lines of the palm, in the palm's plane."""
        at = {name: self._joints[i, :2] for i, name in enumerate(JOINT_NAMES)}
        index, middle, little, ring = at["index_1"], at["middle_1"], at["little_1"], at["ring_1"]
        start = index + np.array([0.008, -0.022])
        heart = [little - np.array([0.014, 0.012]), ring - np.array([0.0, 0.022]),
                 (index + middle) / 2 + np.array([0.001, 0.004])]  # fmt: skip
        head = [start, middle * np.array([1, 0.68]), little * np.array([1, 0.62]) - np.array([0.004, 0])]
        life = [start, np.array([-0.006, index[1] * 0.62]), np.array([0.004, 0.016])]
        return np.concatenate([_curve(line) for line in (heart, head, life)])

    def paint(self, spots: Spots) -> Float32Array:
        """Return the linear colours and gloss (N, 4) of these places."""
        noise, p = self._noise, spots.points
        palmar = _smooth(-0.35, 0.45, spots.normals[:, 2] + 0.15 * noise(p, 0.006))
        palmar *= 0.35 + 0.65 * _smooth(-0.03, 0.004, p[:, 1])  # a forearm's inside is nearly as dark as its outside
        blood = np.zeros(len(p), np.float32)  # redness
        shade = 1 + 0.05 * noise(p, 0.03, 2) + 0.045 * noise(p, 0.0016, 2)
        gloss = np.full(len(p), 0.8, np.float32) + 0.2 * noise(p, 0.004)
        blood += 0.22 * np.maximum(noise(p, 0.02, 2), 0) * palmar + 0.10 * noise(p, 0.009)
        nail = np.zeros(len(p), np.float32)
        nail_tip = np.zeros(len(p), np.float32)
        for finger in FINGERS:
            self._paint_finger(finger, spots, palmar, blood, shade, nail, nail_tip)
        self._paint_palm(spots, palmar, blood, shade)
        base = self._back + palmar[:, None] * (self._palm - self._back)
        # Blood takes green and blue more than red.
        red = np.array([0.06, 0.42, 0.38], np.float32) * (1 - 0.45 * self._dark)
        colour = base * (1 - np.clip(blood, -0.6, 1.2)[:, None] * red) * np.clip(shade, 0.25, 1.3)[:, None]
        bed = linear((228, 150, 142)) * (1 - 0.45 * self._dark)
        nail_colour = base + (0.6 - 0.15 * self._dark) * (bed - base)
        nail_colour = (
            nail_colour + nail_tip[:, None] * (linear((246, 230, 216)) * (1 - 0.25 * self._dark) - nail_colour) * 0.75
        )
        colour += nail[:, None] * (nail_colour - colour)
        gloss += nail * 3.0
        return np.concatenate([colour, gloss[:, None]], 1).astype(np.float32)

    def _paint_finger(
        self, finger: str, spots: Spots, palmar: Float32Array, blood: Float32Array, shade: Float32Array,
        nail: Float32Array, nail_tip: Float32Array,
    ) -> None:  # fmt: skip
        """Add one finger's marks in place."""
        joints = [MODEL_JOINT_NAMES.index(f"{finger}_{i}") for i in (1, 2, 3)]
        mine = spots.weights[:, joints].sum(1)
        near = np.flatnonzero(mine > 0.02)
        p, normal, here = spots.points[near], spots.normals[near], mine[near]
        wobble = 0.0009 * self._noise(p, 0.005) + 0.0004 * self._noise(p, 0.0015)
        fine = self._noise(p, 0.0022, 2)
        for i, joint in enumerate(joints):
            flexion, dorsal, along = self._axes[joint - 1]
            offset = p - self._joints[MODEL_JOINTS_IN_21[joint]]
            s, across = offset @ along, offset @ flexion
            back = _smooth(0.15, 0.7, normal @ dorsal) * here
            front = _smooth(0.05, 0.6, -(normal @ dorsal)) * here
            if i == 0 and finger == "thumb":
                continue
            # On the back: loose folded skin over the joint, redder.
            reach = (0.009, 0.0075, 0.0055)[i]
            over = _bump(s + 0.001, reach) * back
            blood[near] += (0.5, 0.6, 0.4)[i] * over
            bowed = s + wobble + 18 * across * across * np.sign(s)
            folds = np.sin(bowed * 2 * np.pi / (0.0030, 0.0023, 0.0021)[i]) + 0.5 * fine
            shade[near] -= (0.05, 0.24, 0.16)[i] * over * np.maximum(folds, 0)
            # In front: the creases where it bends, one or two lines.
            # The finger's first crease lies in front of the web, well beyond the knuckle.
            places = (
                {0: (0.021,), 1: (-0.0012, 0.0014), 2: (0.0,)}[i]
                if finger != "thumb"
                else ((0.0,), (-0.001,), (0.0,))[i]
            )
            for place in places:
                line = _bump(s - place + wobble, 0.00065) * (0.75 + 0.25 * fine)
                shade[near] -= 0.26 * line * front
                blood[near] += 0.35 * _bump(s - place + wobble, 0.0018) * front
        flexion, dorsal, along = self._axes[joints[2] - 1]
        tip = self._joints[JOINT_NAMES.index(f"{finger}_4")]
        from_tip, across = (p - tip) @ along, (p - tip) @ flexion
        blood[near] += 0.55 * _smooth(-0.017, -0.003, from_tip) * here * (0.55 + 0.45 * palmar[near])
        half = self._half_widths[finger] * (0.72 if finger == "thumb" else 0.80)
        long = half * 1.2
        # A rounded box on the back of the last segment; its cuticle is rounder than its free edge.
        x, y = np.abs(across / half), np.abs((from_tip + 0.0022 + long * 0.82) / long)
        inside = x**3.2 + y**3.2
        facing = _smooth(0.12, 0.32, normal @ dorsal) * _smooth(0.3, 0.7, here)
        nail[near] = np.maximum(nail[near], _smooth(1.08, 0.92, inside) * facing)
        shade[near] -= 0.36 * _bump(np.asarray(inside - 1.1), 0.26) * facing
        edge = (from_tip + 0.0022 + long * 0.82) / long
        nail_tip[near] = np.maximum(nail_tip[near], _smooth(0.80, 0.92, edge) * facing)
        nail_tip[near] = np.maximum(nail_tip[near], 0.35 * _smooth(-0.5, -0.75, edge) * facing)

    def _paint_palm(self, spots: Spots, palmar: Float32Array, blood: Float32Array, shade: Float32Array) -> None:
        """Add the palm's lines and cushions, and the veins on the back, in place."""
        p, hand = spots.points, spots.weights[:, 0] > 0.2
        near = np.flatnonzero(hand & (palmar > 0.4) & (p[:, 1] > 0.004))
        flat = p[near, :2] + 0.0009 * np.stack([self._noise(p[near], 0.006), self._noise(p[near] + 1, 0.006)], 1)
        distance = np.asarray(cKDTree(self._curves).query(flat)[0], np.float32)
        strength = palmar[near] * (0.8 + 0.3 * self._noise(p[near], 0.01))
        shade[near] -= 0.24 * _bump(distance, 0.0008) * strength
        blood[near] += 0.3 * _bump(distance, 0.0022) * strength
        fine = self._noise(np.stack([p[near, 0] * 0.35 + p[near, 1] * 0.2, p[near, 1] - p[near, 0] * 0.4], 1), 0.0016)
        shade[near] -= 0.05 * np.maximum(fine, 0)
        knuckles = self._joints[[JOINT_NAMES.index(f"{f}_1") for f in FINGERS[1:]], :2]
        from_knuckles = np.linalg.norm(p[near, None, :2] - knuckles - (0, 0.004), axis=2)
        cushion = _bump(from_knuckles, 0.012).sum(1)
        thenar = _bump(np.linalg.norm(p[near, :2] - self._joints[1, :2] - (-0.004, 0.014), axis=1), 0.024)
        heel = _bump(np.linalg.norm(p[near, :2] - (-0.024, 0.03), axis=1), 0.022)
        blood[near] += (0.35 * cushion + 0.30 * thenar + 0.28 * heel) * palmar[near]
        back = np.flatnonzero(hand & (palmar < 0.3))
        run = np.stack([p[back, 0] + 0.004 * self._noise(p[back], 0.03), 0.22 * p[back, 1]], 1)
        vein = _bump(self._noise(run, 0.011), 0.10) * (1 - palmar[back]) * _smooth(-0.1, -0.02, p[back, 1])
        blood[back] -= 0.20 * vein * (1 - self._dark)
        shade[back] -= 0.05 * vein
        for knuckle in knuckles:  # tendons under the skin, from the wrist to each knuckle
            s = np.clip(p[back, 1] / knuckle[1], 0, 1)
            off = p[back, 0] - (0.35 + 0.65 * s) * knuckle[0]
            shade[back] += s * (0.07 * _bump(off, 0.0022) - 0.04 * _bump(np.abs(off) - 0.0048, 0.0022))
        wrist = _bump(p[:, 1] + 0.001 + 0.001 * self._noise(p, 0.01), 0.0007) + 0.7 * _bump(
            p[:, 1] + 0.0075 + 0.0015 * self._noise(p, 0.012), 0.0007
        )
        shade -= 0.2 * wrist * palmar * (spots.weights[:, 0] > 0.5)
