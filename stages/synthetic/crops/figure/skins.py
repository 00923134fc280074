"""What skin looks like: tone, blood, creases, folds, palm lines, nails and their varnish, place by place.

Everything is read from where a place is on the resting hand, so that it moves with the hand and needs no texture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.hand import FINGERS, MODEL_FINGERS, MODEL_JOINTS_IN_21, HandModel, joint_axes
from stages.synthetic.crops.draws import chance
from stages.synthetic.crops.noise import FloatArray, Noise, bump, read_map, smooth
from stages.synthetic.motion import palm_basis

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

PALE = np.array([0.86, 0.62, 0.50], np.float32)
"""Linear colour of skin without pigment."""
MELANIN = np.array([0.90, 1.55, 2.00], np.float32)
BLOOD = np.array([0.05, 0.44, 0.40], np.float32)
"""What a unit of each takes of red, green and blue, as exponents."""
MAP = 176
"""Pixels of the palm lines' map across and along the palm."""


@dataclass(frozen=True, eq=False)
class Places:
    """Places on a hand's surface."""

    points: FloatArray  # (N, 3) m, at rest, palm coordinates
    normals: FloatArray  # (N, 3) unit, at rest
    bones: IntArray  # (N,) model joint that a place follows


@dataclass(frozen=True, eq=False)
class Paint:
    """Colours of places."""

    colour: FloatArray  # (N, 3) linear
    gloss: FloatArray  # (N,) strength of the shine; 1 is skin


@dataclass(frozen=True)
class Tone:
    """One person's skin."""

    melanin: float  # 0 palest, 1.8 darkest
    blood: float  # redness, 1 middling
    creases: float  # 1 middling: young smooth skin has less, old or dry more
    blotches: float
    varnish: tuple[float, float, float] | None  # linear colour of painted nails


def any_tone(rng: np.random.Generator) -> Tone:
    """Return a person's skin tone; light, brown and dark skins about equally often."""
    varnish = None
    if chance(rng, 0.14):
        varnish = tuple(float(x) for x in rng.uniform(0.01, 0.9, 3) ** 1.5)
    return Tone(
        melanin=float(1.75 * rng.beta(1.05, 1.35)), blood=float(rng.uniform(0.5, 1.7)),
        creases=float(rng.uniform(0.4, 1.7)), blotches=float(rng.uniform(0.4, 1.8)), varnish=varnish,  # type: ignore[arg-type]
    )  # fmt: skip


class SkinPainter:
    """Paints the hand of one shape."""

    def __init__(self, model: HandModel, betas: Array, tone: Tone, rng: np.random.Generator) -> None:
        self._tone, self._noise = tone, Noise(rng)
        rest = model.rest_joints_21(betas)
        basis = palm_basis(rest)
        joints = (rest - rest[0]) @ basis
        self._joints = joints.astype(np.float32)
        axes = (joint_axes(rest) @ basis).astype(np.float32)
        self._flexion, self._dorsal, self._along = (np.concatenate([np.eye(3, dtype=np.float32)[i : i + 1], axes[:, i]])
                                                    for i in range(3))  # fmt: skip
        at = np.array(MODEL_JOINTS_IN_21)
        self._starts = self._joints[at]
        ends = self._joints[np.minimum(at + 1, 20)]
        self._lengths = np.linalg.norm(ends - self._starts, axis=1)
        self._lines = _palm_lines(rng)
        self._nail_length = rng.uniform(0.0, 0.0045) if chance(rng, 0.3) else rng.uniform(-0.001, 0.001)
        self._veins = float(rng.uniform(0, 1.3))
        width = 0.0068 * (1 + 0.05 * betas[8] + 0.04 * betas[0])
        self._nail_halves = np.array([width * (1.18 if f == "thumb" else 0.82 if f == "little" else 1.0)
                                      for f in MODEL_FINGERS], np.float32)  # fmt: skip
        self._light_palm = float(rng.uniform(0.22, 0.45))

    def paint(self, places: Places) -> Paint:
        """Return colours of places on the hand and forearm."""
        p, n, tone, noise = places.points, places.normals, self._tone, self._noise
        u, v = p[:, 0] + 0.5 * p[:, 2], p[:, 1] - 0.35 * p[:, 2]
        coarse, middle, fine = noise(u, v, 0.022), noise(u, v, 0.006), noise(u, v, 0.0016)
        behind = p[:, 1] < -0.002
        palmar = smooth(-0.35, 0.45, n[:, 2] + 0.12 * middle)
        palmar *= np.where(behind, 0.25 + 0.75 * smooth(-0.035, 0.0, p[:, 1]), 1)
        blood = tone.blotches * (0.10 * coarse + 0.08 * middle) + 0.30 * palmar
        shade = 1 + 0.05 * tone.blotches * coarse + 0.04 * tone.creases * fine
        gloss = 0.9 + 0.25 * middle
        finger = places.bones > 0
        nail = np.zeros(len(p), np.float32)
        rim = np.zeros(len(p), np.float32)
        self._fingers(places, np.flatnonzero(finger), palmar, blood, shade, nail, rim, middle, fine)
        self._palm(p, np.flatnonzero(~finger & ~behind), palmar, blood, shade, coarse, u, v)
        wrist = np.flatnonzero(behind & (p[:, 1] > -0.02))
        for place in (-0.003, -0.0085):
            line = bump(p[wrist, 1] - place + 0.0012 * coarse[wrist], 0.0007)
            shade[wrist] -= 0.2 * tone.creases * line * smooth(0, 0.6, n[wrist, 2])
        melanin = tone.melanin * (1 - (1 - self._light_palm) * palmar) * (1 + 0.06 * tone.blotches * middle)
        take = melanin[:, None] * MELANIN + (tone.blood * np.clip(blood, -0.4, 1.4))[:, None] * BLOOD
        colour = (PALE * np.exp(-take) + 0.006) * np.clip(shade, 0.2, 1.3)[:, None]
        self._paint_nails(colour, gloss, nail, rim)
        return Paint(colour.astype(np.float32), np.clip(gloss, 0.05, 4).astype(np.float32))

    def _fingers(
        self, places: Places, near: IntArray, palmar: FloatArray, blood: FloatArray, shade: FloatArray,
        nail: FloatArray, rim: FloatArray, middle: FloatArray, fine: FloatArray,
    ) -> None:  # fmt: skip
        """Add creases, folds over the knuckles, red tips and nails, in place."""
        bone, creases = places.bones[near], self._tone.creases
        offset = places.points[near] - self._starts[bone]
        normal = places.normals[near]
        s = np.einsum("ij,ij->i", offset, self._along[bone])
        dorsal = np.einsum("ij,ij->i", normal, self._dorsal[bone])
        segment = (bone - 1) % 3
        wobble = 0.0006 * middle[near]
        to_end = np.where(segment == 2, 1.0, self._lengths[bone] - s)
        thumb = bone > 12
        # A finger's first crease lies before the web, well beyond its knuckle.
        from_start = np.abs(s - np.where((segment == 0) & ~thumb, 0.022, 0.0) + wobble)
        crease = bump(np.minimum(from_start, np.abs(to_end - wobble)), 0.0008)
        crease = np.maximum(crease, 0.7 * bump(np.abs(to_end) - 0.0028, 0.0007) * (segment == 0))
        front, back = smooth(0.05, 0.6, -dorsal), smooth(0.1, 0.7, dorsal)
        shade[near] -= 0.26 * creases * crease * front
        blood[near] += 0.3 * crease * front
        knuckle = np.minimum(np.abs(s), np.abs(to_end))
        folds = np.maximum(np.sin(knuckle * (2 * np.pi / 0.0024) + 2 * fine[near]), 0)
        over = bump(knuckle, 0.0065) * back
        shade[near] -= 0.2 * creases * over * folds
        blood[near] += 0.4 * over
        last = np.flatnonzero(segment == 2)
        at = near[last]
        which = (bone[last] - 1) // 3
        tips = self._joints[[4 * FINGERS.index(f) + 4 for f in MODEL_FINGERS]]
        from_tip = np.einsum("ij,ij->i", places.points[at] - tips[which], self._along[bone[last]])
        across = np.einsum("ij,ij->i", places.points[at] - tips[which], self._flexion[bone[last]])
        blood[at] += 0.5 * smooth(-0.016, -0.002, from_tip) * (0.5 + 0.5 * palmar[at])
        half = self._nail_halves[which]
        long = 1.25 * half
        x, y = np.abs(across) / half, (from_tip + 0.0015 + long * 0.85 - self._nail_length * 0.5) / long
        inside = x**3.4 + np.abs(y) ** 3
        facing = smooth(0.1, 0.35, dorsal[last])
        nail[at] = smooth(1.1, 0.9, inside) * facing
        shade[at] -= 0.3 * bump(inside - 1.12, 0.25) * facing
        rim[at] = np.maximum(smooth(0.78, 0.9, y), 0.35 * smooth(-0.5, -0.8, y)) * facing

    def _palm(
        self, p: FloatArray, near: IntArray, palmar: FloatArray, blood: FloatArray, shade: FloatArray,
        coarse: FloatArray, u: FloatArray, v: FloatArray,
    ) -> None:  # fmt: skip
        """Add the palm's lines and cushions, and the veins of the back, in place."""
        across = self._joints[5, 0] - self._joints[17, 0]
        x = (p[near, 0] - self._joints[17, 0] + 0.35 * across) / (1.7 * across) * MAP
        y = p[near, 1] / (1.15 * self._joints[9, 1]) * MAP
        lines = read_map(self._lines, x, y)
        strength = palmar[near] * self._tone.creases
        shade[near] -= 0.28 * lines * strength
        blood[near] += 0.3 * lines * palmar[near]
        knuckles = self._joints[[5, 9, 13, 17], :2] - (0, 0.006)
        for centre, width in (*((k, 0.011) for k in knuckles), (self._joints[1, :2] + (-0.004, 0.014), 0.022),
                              (np.array([-0.024, 0.03], np.float32), 0.022)):  # fmt: skip
            blood[near] += 0.28 * bump(np.hypot(*(p[near, :2] - centre).T), width) * palmar[near]
        vein = bump(self._noise(u[near] + 0.003 * coarse[near], 0.25 * v[near], 0.011), 0.12) * (1 - palmar[near])
        blood[near] -= 0.25 * self._veins * vein
        shade[near] -= 0.07 * self._veins * vein
        for joint in self._joints[[5, 9, 13, 17]]:  # tendons
            t = np.clip(p[near, 1] / joint[1], 0, 1)
            shade[near] += 0.06 * t * bump(p[near, 0] - (0.3 + 0.7 * t) * joint[0], 0.0025) * (1 - palmar[near])

    def _paint_nails(self, colour: FloatArray, gloss: FloatArray, nail: FloatArray, rim: FloatArray) -> None:
        on = np.flatnonzero(nail > 0.01)
        tone, share = self._tone, nail[on, None]
        if tone.varnish is not None:
            colour[on] += share * (np.array(tone.varnish, np.float32) - colour[on])
            gloss[on] += 4.5 * nail[on]
            return
        bed = np.array([0.72, 0.38, 0.33], np.float32) * np.exp(-0.35 * tone.melanin)
        edge = np.array([0.85, 0.76, 0.66], np.float32) * np.exp(-0.2 * tone.melanin)
        wanted = colour[on] + 0.55 * (bed - colour[on])
        wanted += (0.75 * rim[on, None]) * (edge - wanted)
        colour[on] += share * (wanted - colour[on])
        gloss[on] += 2.5 * nail[on]


def _palm_lines(rng: np.random.Generator) -> FloatArray:
    """Return a map (176, 176) of the palm's lines: x from the little finger's side, y from the wrist."""
    picture = np.zeros((MAP, MAP), np.uint8)
    heart = [(0.24, 0.74), (0.45, 0.70), (0.62, 0.76), (0.68, 0.86)]
    head = [(0.80, 0.70), (0.62, 0.63), (0.45, 0.55), (0.30, 0.46)]
    life = [(0.80, 0.71), (0.62, 0.60), (0.50, 0.36), (0.50, 0.08)]
    minor = [[tuple(a) for a in rng.uniform(0.25, 0.8, (2, 2))] for _ in range(int(rng.integers(0, 9)))]
    for line, strength in [*((m, 0.35) for m in minor), (heart, 1.0), (head, 1.0), (life, 1.0)]:
        knots = np.array(line) + rng.normal(0, 0.018, (len(line), 2))
        t = np.linspace(0, len(knots) - 1, 40)
        points = np.stack([np.interp(t, np.arange(len(knots)), knots[:, k]) for k in (0, 1)], 1)
        kernel = np.ones(9) / 9
        points[4:-4] = np.stack([np.convolve(points[:, k], kernel, "valid") for k in (0, 1)], 1)
        path = np.round(points * MAP * 16).astype(np.int32)
        cv2.polylines(picture, [path], False, int(255 * strength * rng.uniform(0.6, 1.0)), 2, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.8), np.float32) / np.float32(255)
