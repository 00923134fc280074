"""Hands that hold something: fingers close on it until they touch, the thumb comes against it.

Everything is in palm coordinates: metres from the wrist towards the thumb's side, towards the fingers and out of the
palm.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hamba_core.hand import FINGERS, MODEL_FINGERS
from stages.synthetic.crops.draws import log_uniform
from stages.synthetic.crops.posing.kinematics import Kinematics, finger_points
from stages.synthetic.crops.posing.objects import Thing
from stages.synthetic.crops.posing.poses import (
    EASY,
    STRAIGHT,
    gesture,
    held_within_limits,
    joint_angles,
    limits,
    pinch,
    wobble,
)

Array = NDArray[np.float64]

STEPS = 22
TOUCH = 0.9
"""Share of a finger's radius at which flesh lies on what it touches."""
PALM_SKIN = 0.016
"""Metres from the palm's bones to its skin where things rest on it."""


def grasp(kinematics: Kinematics, rng: np.random.Generator) -> tuple[Array, Thing, str]:
    """Return angles (15, 3) of a hand, the thing that it holds, and what kind of grip it is."""
    kinds = ["cylinder", "ball", "box", "phone", "pen", "small"]
    kind = str(rng.choice(kinds, p=[0.27, 0.1, 0.18, 0.17, 0.14, 0.14]))
    if kind in ("pen", "small"):
        angles, thing = _between_fingertips(kinematics, kind, rng)
    else:
        thing = _in_palm(kind, rng)
        angles, thing = _closed_around(kinematics, thing, rng)
    return angles, thing, kind


def _in_palm(kind: str, rng: np.random.Generator) -> Thing:
    """Return a thing that lies against the palm."""
    x, y = rng.normal(-0.004, 0.008), rng.normal(0.08, 0.012)
    tilt = Rotation.from_euler("zyx", rng.normal([20, 0, 0], [18, 8, 8]), degrees=True).as_matrix()
    if kind == "cylinder":  # across the palm
        radius = log_uniform(rng, 0.011, 0.042)
        axes = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
        half = np.array([radius, radius, log_uniform(rng, 0.05, 0.16)])
        along = axes[:, 2] * rng.uniform(-0.4, 0.4) * half[2]
        return Thing("cylinder", half, tilt @ axes, np.array([x, y, PALM_SKIN + radius]) + tilt @ along)
    if kind == "ball":
        radius = log_uniform(rng, 0.018, 0.05)
        return Thing("ball", np.full(3, radius), tilt, np.array([x, y + 0.006, PALM_SKIN + radius]))
    if kind == "phone":
        half = np.array([rng.uniform(0.030, 0.041), rng.uniform(0.062, 0.085), rng.uniform(0.0035, 0.007)])
        y += rng.normal(0.012, 0.015)
    else:
        half = np.exp(rng.uniform(np.log([0.014, 0.02, 0.008]), np.log([0.05, 0.08, 0.04])))
    spin = Rotation.from_euler("z", rng.choice([0, 90]) + rng.normal(0, 16), degrees=True).as_matrix()
    return Thing("box", half, spin, np.array([x, y, PALM_SKIN + half[2]]))


def _closed_around(kinematics: Kinematics, thing: Thing, rng: np.random.Generator) -> tuple[Array, Thing]:
    """Close fingers joint by joint, each until it touches; the thing moves out of the palm if it is in its way."""
    angles = joint_angles(EASY, dict.fromkeys(FINGERS[1:], STRAIGHT), float(rng.uniform(-0.1, 0.6)))
    open_hand = kinematics.joints(angles[None])
    points, radii = finger_points(open_hand, kinematics.thickness)
    palm = open_hand[0, [5, 9, 13, 17]] * 0.9
    sunk = max(0.0, float((PALM_SKIN - thing.distance(palm)).max()),
               float((TOUCH * radii - thing.distance(points[0]))[9:].max()))  # fmt: skip
    thing = thing.moved(np.eye(3), np.array([0, 0, min(sunk, 0.05)]))
    grip = rng.uniform(0.75, 1.0)
    for joint, (start, end) in enumerate(((-8, 72), (5, 104), (3, 60))):
        tried = np.repeat(angles[None], STEPS, 0).reshape(STEPS, 5, 3, 3)
        sweep = np.radians(np.linspace(start, start + grip * (end - start), STEPS))
        tried[:, :4, joint, 0] = sweep[:, None]
        places, _ = finger_points(kinematics.joints(tried.reshape(STEPS, 15, 3)), kinematics.thickness)
        inside = (TOUCH * radii - thing.distance(places)).reshape(STEPS, 5, 3, 3)[:, :, joint:].max((2, 3))
        blocked = np.concatenate([inside > 0, np.ones((1, 5), bool)])
        reached = np.maximum(np.argmax(blocked, 0) - 1, 0)  # (5,) in the order of FINGERS
        for row, finger in enumerate(MODEL_FINGERS[:4]):
            angles.reshape(5, 3, 3)[row, joint, 0] = sweep[reached[FINGERS.index(finger)]]
    angles = held_within_limits(angles + np.radians(rng.normal(0, 1.5, (15, 3))) * (1, 0.5, 0.3))
    return _with_thumb_against(kinematics, angles, thing, rng), thing


def _with_thumb_against(kinematics: Kinematics, angles: Array, thing: Thing, rng: np.random.Generator) -> Array:
    """Return the thumb of many tried ones that touches the thing best without going through it or a finger."""
    count = 96
    tried = np.repeat(angles[None], count, 0)
    least, most = limits()[12:, :, 0], limits()[12:, :, 1]
    tried[:, 12:] = least + (most - least) * rng.beta(1.3, 1.3, (count, 3, 3))
    tried[:, 13:, 1:] *= 0.3
    points, radii = finger_points(kinematics.joints(tried), kinematics.thickness)
    gaps = thing.distance(points[:, :9]) - TOUCH * radii[:9]
    cost = np.abs(gaps[:, 6:]).min(1) + 6 * np.maximum(-gaps.min(1) - 0.001, 0)
    cost += 4 * np.maximum(kinematics.depth_of_collision(tried) - 0.001, 0)
    bend = np.abs(tried[:, 13:, 0] - np.radians([15, 18])).sum(1)
    return np.asarray(tried[int(np.argmin(cost + 0.004 * bend))])


def _between_fingertips(kinematics: Kinematics, kind: str, rng: np.random.Generator) -> tuple[Array, Thing]:
    """Return a pinch with something small in it, or a pen that leans on the index finger's knuckle."""
    angles = pinch("index", rng) if kind == "small" else gesture("cup")
    if kind == "pen":
        angles = 0.35 * angles + 0.65 * pinch("index", rng)
        rows = angles.reshape(5, 3, 3)
        rows[1, :, 0] = rows[0, :, 0] * rng.uniform(0.85, 1.15) + np.radians(rng.uniform(0, 12))
        rows[1, 0, 1], close = np.radians(4), rng.uniform(0, 1)
        for row in (2, 3):
            rows[row, :, 0] = np.radians((40, 52, 30)) * (0.6 + close) + np.radians(rng.normal(0, 5, 3))
    angles = held_within_limits(angles + wobble(rng, 0.25))
    angles = kinematics.without_collision(angles, gesture("cup"), 0.004)
    joints = kinematics.joints(angles[None])[0]
    tips = joints[[4, 8, 12] if kind == "pen" else [4, 8]]
    centre = tips.mean(0)
    if kind == "pen":
        back = joints[5] + np.array([0.008, 0.0, 0.004]) - centre
        axis = back / np.linalg.norm(back)
        half = np.array([1, 1, 0]) * rng.uniform(0.003, 0.0062) + np.array([0, 0, rng.uniform(0.055, 0.085)])
        return angles, Thing("cylinder", half, _frame(axis), centre + axis * (half[2] - rng.uniform(0.01, 0.045)))
    between = tips[1] - tips[0]
    normal = between / max(float(np.linalg.norm(between)), 1e-9)
    frame = _frame(normal) @ Rotation.from_euler("z", rng.uniform(0, 360), degrees=True).as_matrix()
    form = str(rng.choice(["card", "coin", "ball", "stick"]))
    if form == "ball":
        return angles, Thing("ball", np.full(3, rng.uniform(0.004, 0.008)), frame, centre)
    if form == "coin":
        return angles, Thing("cylinder", np.array([1, 1, 0]) * rng.uniform(0.008, 0.018) + (0, 0, 0.001), frame, centre)
    half = np.array([0.028, 0.043, 0.0006]) if form == "card" else np.array([0.004, rng.uniform(0.03, 0.08), 0.003])
    return angles, Thing("box", half, frame, centre + frame[:, 1] * half[1] * rng.uniform(0.5, 0.9))


def _frame(z: Array) -> Array:
    """Return a right-handed frame (3, 3) whose third column is this unit vector."""
    x = np.cross((1.0, 0, 0) if abs(z[0]) < 0.8 else (0.0, 1, 0), z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], 1)
