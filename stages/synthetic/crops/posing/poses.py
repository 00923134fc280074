"""How hands are held: gestures, signs, grips in the air, pinches and everything between, as joint angles."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from hamba_core.hand import FINGERS, MODEL_FINGERS, load_generic_hand
from stages.synthetic.crops.draws import chance
from stages.synthetic.crops.posing.kinematics import Kinematics

Array = NDArray[np.float64]
Bend = tuple[float, float, float]
Thumb = tuple[float, float, float, float, float]

STRAIGHT: Bend = (3, 5, 3)
"""Flexion of a finger's three joints, degrees."""
CURLED: Bend = (82, 102, 62)
HALF: Bend = (42, 52, 30)
ROUND: Bend = (30, 38, 22)
BENT: Bend = (78, 8, 4)  # at the knuckle alone
HOOK: Bend = (8, 95, 55)
OVER: Bend = (-20, 8, 4)
LOOSE: Bend = (16, 22, 12)

OUT: Thumb = (-8, -6, 4, 4, 4)
"""Flexion, abduction and twist of the thumb's first joint, flexion of the other two, degrees."""
ACROSS: Thumb = (27, 27, -6, 60, 52)
BESIDE: Thumb = (12, -12, 4, 18, 10)
UP: Thumb = (-22, -12, 8, -6, -12)
OPPOSED: Thumb = (18, 36, -18, 20, 22)
TUCKED: Thumb = (36, 30, -14, 42, 30)
EASY: Thumb = (4, 8, 0, 14, 12)
FORWARD: Thumb = (0, 40, -10, 6, 6)

S, C, H, R, B, K, L = STRAIGHT, CURLED, HALF, ROUND, BENT, HOOK, LOOSE
GESTURES: dict[str, tuple[Thumb, Bend, Bend, Bend, Bend, float]] = {
    # thumb, index, middle, ring, little, how far straight fingers fan out (0 together, 1 wide)
    "open": (OUT, S, S, S, S, 1.0),
    "flat": (BESIDE, S, S, S, S, -0.1),
    "stop": (OUT, OVER, OVER, OVER, OVER, 0.5),
    "relaxed": (EASY, L, (20, 26, 14), (24, 30, 16), (26, 30, 16), 0.4),
    "fist": (ACROSS, C, C, C, C, 0.0),
    "fist, thumb in": (TUCKED, (70, 92, 50), (70, 92, 50), (70, 92, 50), (70, 92, 50), 0.0),
    "fist, thumb beside": (BESIDE, C, C, C, C, 0.0),
    "thumb up": (UP, C, C, C, C, 0.0),
    "point": (ACROSS, S, C, C, C, 0.2),
    "point, easy": (EASY, S, (45, 60, 34), (52, 66, 36), (54, 66, 36), 0.2),
    "pistol": (UP, S, C, C, C, 0.2),
    "two": (ACROSS, S, S, C, C, 1.2),
    "two together": (ACROSS, S, S, C, C, -0.2),
    "three": (ACROSS, S, S, S, C, 1.0),
    "three with thumb": (UP, S, S, C, C, 1.0),
    "four": (TUCKED, S, S, S, S, 0.8),
    "little": (ACROSS, C, C, C, S, 0.2),
    "horns": (ACROSS, S, C, C, S, 0.6),
    "love": (UP, S, C, C, S, 0.6),
    "call": (UP, C, C, C, S, 0.6),
    "middle": (ACROSS, C, S, C, C, 0.0),
    "claw": (FORWARD, (12, 62, 44), (14, 62, 44), (16, 62, 44), (18, 60, 42), 0.9),
    "hook": (BESIDE, K, K, K, K, 0.0),
    "bent flat": (BESIDE, B, B, B, B, 0.0),
    "beak": (OPPOSED, (62, 18, 10), (64, 20, 10), (64, 20, 10), (62, 18, 10), 0.0),
    "cup": (OPPOSED, R, R, R, R, 0.2),
    "big cup": (FORWARD, (24, 30, 18), (24, 30, 18), (24, 30, 18), (24, 30, 18), 0.5),
    "typing": (EASY, (26, 38, 20), (24, 40, 22), (26, 40, 22), (24, 34, 18), 0.5),
    "typing, key down": (EASY, (40, 34, 16), (20, 40, 22), (24, 40, 22), (20, 34, 18), 0.5),
    "mouse": (BESIDE, (22, 26, 14), (22, 28, 14), (30, 40, 20), (32, 40, 20), 0.5),
    "piano": (EASY, (14, 32, 18), (28, 34, 18), (16, 32, 18), (28, 28, 14), 0.8),
    "phone thumb": (FORWARD, (38, 44, 22), (40, 46, 22), (42, 46, 22), (42, 44, 20), 0.1),
    "count by thumb": (UP, S, (60, 90, 50), C, C, 0.5),
    "X": (ACROSS, K, C, C, C, 0.0),
    "C": (OPPOSED, (34, 48, 26), (34, 48, 26), (34, 48, 26), (34, 48, 26), 0.0),
    "E": (TUCKED, (30, 104, 60), (30, 104, 60), (30, 104, 60), (30, 104, 60), 0.0),
    "M": ((36, 37, -8, 40, 20), (74, 60, 30), (74, 60, 30), (74, 60, 30), C, 0.0),
    "K": ((14, 24, -8, 10, 4), S, (48, 6, 4), C, C, 0.4),
    "Q": (FORWARD, (76, 8, 4), C, C, C, 0.0),
    "L": (UP, S, C, C, C, 0.3),
    "W": (ACROSS, S, S, S, (70, 80, 46), 1.2),
    "swear": (ACROSS, S, (3, 5, 3), (70, 95, 55), (70, 95, 55), -0.5),
    "trigger": (ACROSS, (30, 58, 26), C, C, C, 0.0),
    "lumbrical": (OPPOSED, (70, 22, 10), (66, 22, 10), (62, 22, 10), (60, 20, 10), 0.3),
    "tap": (EASY, (44, 22, 10), (10, 16, 8), (14, 20, 10), (16, 20, 10), 0.4),
    "wave": (OUT, (0, 2, 2), (2, 2, 2), (4, 4, 2), (6, 6, 4), 0.7),
}
FAN = {"index": 9.0, "middle": 1.0, "ring": -8.0, "little": -16.0}
"""Abduction of the first joint of a straight finger in a wide hand, degrees; positive towards the thumb."""


@cache
def limits() -> Array:
    """Return the generic hand's limits (15, 3, 2), radians."""
    return load_generic_hand().joint_limits


def gesture(name: str) -> Array:
    """Joint angles (15, 3), radians, of a named gesture."""
    thumb, index, middle, ring, little, fan = GESTURES[name]
    return joint_angles(thumb, {"index": index, "middle": middle, "ring": ring, "little": little}, fan)


def joint_angles(thumb: Thumb, bends: dict[str, Bend], fan: float) -> Array:
    """Joint angles (15, 3), radians, from degrees."""
    result = np.zeros((5, 3, 3))
    for rows, finger in zip(result, MODEL_FINGERS, strict=True):
        if finger == "thumb":
            rows[0], rows[1, 0], rows[2, 0] = thumb[:3], thumb[3], thumb[4]
        else:
            bend = bends[finger]
            rows[:, 0] = bend
            rows[0, 1] = fan * FAN[finger] * max(0.12, 1 - max(bend[0], 0) / 70)  # tight ligaments
    return np.radians(result.reshape(15, 3))


def calm() -> Array:
    """Return the pose (15, 3) that nothing collides in."""
    return gesture("open") * 0.6 + gesture("relaxed") * 0.4


def free_pose(kinematics: Kinematics, rng: np.random.Generator) -> tuple[Array, str]:
    """Return angles (15, 3) of a hand that holds nothing, and what kind of pose it is."""
    kind = str(rng.choice(["gesture", "between", "synergy", "fingers", "pinch"], p=[0.28, 0.22, 0.18, 0.2, 0.12]))
    if kind == "gesture":
        angles = gesture(_any_gesture(rng))
    elif kind == "between":
        share = rng.beta(0.9, 0.9)
        angles = (1 - share) * gesture(_any_gesture(rng)) + share * gesture(_any_gesture(rng))
    elif kind == "synergy":
        angles = _synergy(rng)
    elif kind == "fingers":
        angles = _independent(rng)
    else:
        angles = pinch(str(rng.choice(FINGERS[1:], p=[0.5, 0.25, 0.15, 0.1])), rng)
    size = rng.uniform(0.3, 1.2) * (0.35 if kind == "pinch" else 1)
    angles = held_within_limits(angles + wobble(rng, size))
    return kinematics.without_collision(angles, calm(), 0.004 if kind == "pinch" else 0.0015), kind


def held_within_limits(angles: Array) -> Array:
    """Return the angles, none beyond what joints do."""
    return np.clip(angles, limits()[..., 0], limits()[..., 1])


def wobble(rng: np.random.Generator, size: float) -> Array:
    """Return differences (15, 3), radians, between two people's same gesture: neighbouring fingers differ alike."""
    result = np.zeros((5, 3, 3))
    shared = rng.normal(0, np.radians([6, 7, 5]))
    result[:4, :, 0] = shared + rng.normal(0, np.radians([7, 8, 6]), (4, 3))
    result[:4, :, 1] = rng.normal(0, np.radians([3, 0.8, 0.8]), (4, 3))
    result[:4, :, 2] = rng.normal(0, np.radians([2, 1, 1]), (4, 3))
    result[4, 0] = rng.normal(0, np.radians([7, 8, 4]))
    result[4, 1:, 0] = rng.normal(0, np.radians([9, 11]))
    result[4, 1:, 1:] = rng.normal(0, np.radians(2), (2, 2))
    return np.asarray(size * result.reshape(15, 3))


def _any_gesture(rng: np.random.Generator) -> str:
    return str(rng.choice(list(GESTURES)))


def _thumb(rng: np.random.Generator) -> Thumb:
    """Return a thumb anywhere between two of its usual places."""
    places = np.array([OUT, ACROSS, BESIDE, UP, OPPOSED, TUCKED, EASY, FORWARD])
    a, b = places[rng.integers(len(places), size=2)]
    share = rng.uniform(0, 1)
    return tuple((1 - share) * a + share * b)


def _synergy(rng: np.random.Generator) -> Array:
    """Return all fingers closing together, as in grasping, the little finger ahead or behind."""
    close, slope = rng.beta(0.9, 1.0), rng.normal(0, 0.12)
    knuckle, middle = rng.uniform(0.35, 1.1), rng.uniform(0.35, 1.1)
    bends: dict[str, Bend] = {}
    for i, finger in enumerate(FINGERS[1:]):
        here = np.clip(close + slope * (i - 1.5), 0, 1)
        pip = 105 * here * middle
        bends[finger] = (84 * here * knuckle - 4, pip, pip * rng.uniform(0.35, 0.75))
    return joint_angles(_thumb(rng), bends, float(rng.uniform(-0.2, 1.1)))


def _independent(rng: np.random.Generator) -> Array:
    """Return every finger by itself, the ring finger pulled along by its neighbours."""
    curls = rng.beta(0.6, 0.7, 4)
    curls[2] = 0.55 * curls[2] + 0.45 * (curls[1] + curls[3]) / 2
    bends: dict[str, Bend] = {}
    for finger, curl in zip(FINGERS[1:], curls, strict=True):
        knuckle = np.clip(curl + rng.normal(0, 0.3), -0.2, 1.05) if chance(rng, 0.5) else curl
        pip = 104 * curl
        bends[finger] = (84 * knuckle, pip, pip * rng.uniform(0.3, 0.8))
    return joint_angles(_thumb(rng), bends, float(rng.uniform(-0.3, 1.2)))


def pinch(finger: str, rng: np.random.Generator) -> Array:
    """Thumb and a finger touching, the others anywhere likely."""
    options = _pinches(finger)
    a, b = rng.integers(len(options), size=2)
    share = rng.uniform(0, 1)
    angles = (1 - share) * options[a] + share * options[b]
    others = gesture(str(rng.choice(["open", "relaxed", "flat", "fist", "cup", "typing"])))
    return _with_others(angles, others, finger)


def _with_others(angles: Array, others: Array, finger: str) -> Array:
    result = angles.copy().reshape(5, 3, 3)
    for row, name in enumerate(MODEL_FINGERS):
        if name not in ("thumb", finger):
            result[row] = others.reshape(5, 3, 3)[row]
    return result.reshape(15, 3)


@cache
def _pinches(finger: str) -> tuple[Array, ...]:
    """Return angles (15, 3) where the pads of thumb and finger touch: with a round, a flat and a hooked finger."""
    kinematics = Kinematics(load_generic_hand(), np.zeros(10))
    row = MODEL_FINGERS.index(finger) * 3
    moved = [(row, 0), (row, 1), (row + 1, 0), (row + 2, 0), (12, 0), (12, 1), (12, 2), (13, 0), (14, 0)]
    rows, columns = np.array(moved).T
    least, most = limits()[rows, columns].T
    tip = 4 * FINGERS.index(finger) + 4
    result = []
    for bend in ((48, 48, 24), (66, 20, 6), (30, 74, 44)):
        start = joint_angles(OPPOSED, dict.fromkeys(FINGERS[1:], (24.0, 28.0, 14.0)) | {finger: bend}, 0.3)
        held = np.clip(start[rows, columns], least + 1e-3, most - 1e-3)

        def posed(free: Array, start: Array = start) -> Array:
            trial = start.copy()
            trial[rows, columns] = free
            return trial

        def cost(free: Array, held: Array = held, start: Array = start) -> Array:
            joints = kinematics.joints(posed(free, start)[None])[0]
            bones = joints[[4, tip]] - joints[[3, tip - 1]]
            bones /= np.linalg.norm(bones, axis=1, keepdims=True)
            pads = joints[[4, tip]] - 0.007 * bones
            gap = np.linalg.norm(pads[0] - pads[1]) - 0.0125
            return np.concatenate([[gap / 0.0015], [0.6 * (bones[0] @ bones[1] - 0.1)], (free - held) / 0.35])

        result.append(posed(least_squares(cost, held, bounds=(least, most)).x))
    return tuple(result)
