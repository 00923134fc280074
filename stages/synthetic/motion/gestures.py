"""Gestures are what fingers do, as joint angles about the axes of `hamba_core.hand.anatomy`."""

from functools import lru_cache

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES, MODEL_FINGERS, MODEL_JOINT_NAMES, HandModel, joint_axes

Bend = tuple[float, float, float, float]

STRAIGHT: Bend = (4, 6, 4, 0)
"""Flexion of a finger's three joints and abduction of the first, degrees."""
CURLED: Bend = (84, 104, 64, 0)
SPREAD = {"index": 7.0, "middle": 1.0, "ring": -6.0, "little": -12.0}

Thumb = tuple[float, float, float, float, float]
THUMB_OUT: Thumb = (-6, -4, 4, 6, 6)
"""Flexion, abduction and twist of the thumb's first joint and flexion of the other two, degrees."""
THUMB_IN: Thumb = (22, 17, -8, 62, 55)


def angles(*, thumb: Thumb = THUMB_OUT, spread: float = 0.6, **fingers: Bend) -> Array:
    """Return the joint angles (15, 3) radians, model order, of a gesture; fingers that are not named are straight.

    `spread` fans the fingers that are straight: 0 for parallel, 1 for wide open.
    """
    result = np.zeros((5, 3, 3))
    for rows, finger in zip(result, MODEL_FINGERS, strict=True):
        if finger == "thumb":
            rows[0], rows[1, 0], rows[2, 0] = thumb[:3], thumb[3], thumb[4]
        else:
            bend = fingers.get(finger, STRAIGHT)
            rows[:, 0] = bend[:3]
            # A bent knuckle cannot fan out: its ligaments are tight.
            rows[0, 1] = bend[3] + spread * SPREAD[finger] * max(0.0, 1 - bend[0] / 60)
    return np.radians(result.reshape(15, 3))


def make_gestures(model: HandModel, betas: Array) -> dict[str, Array]:
    """Return the joint angles (15, 3) radians of each gesture, for a hand of this shape (10,)."""
    curled = {"index": CURLED, "middle": CURLED, "ring": CURLED, "little": CURLED}

    def raised(*names: str, spread: float = 1.0, thumb: Thumb = THUMB_IN) -> Array:
        return angles(thumb=thumb, spread=spread, **{f: bend for f, bend in curled.items() if f not in names})

    pinch = angles(
        thumb=(20, 28, 8, 22, 28), index=(50, 50, 26, 0), middle=(26, 30, 14, 0), ring=(18, 22, 10, 0),
        little=(12, 16, 8, -4),
    )  # fmt: skip
    relaxed = angles(thumb=(4, 6, 0, 14, 12), spread=0.5, index=(12, 16, 8, 0), middle=(16, 20, 10, 0),
                     ring=(20, 24, 12, 0), little=(22, 26, 12, 0))  # fmt: skip
    together = _with_pads_together(model, betas, pinch)
    return {
        "open": angles(spread=1.0),
        "relaxed": relaxed,
        "fist": raised(),
        "pinch": together,
        "almost_pinch": 0.6 * together + 0.4 * relaxed,
        "thumbs_up": raised(thumb=THUMB_OUT),
        "one": raised("index"),
        "two": raised("index", "middle", spread=1.3),
        "three": raised("index", "middle", "ring"),
        "four": raised("index", "middle", "ring", "little"),
    }  # fmt: skip


def _pad(model: HandModel, finger: str) -> int:
    """Return the vertex in the middle of a fingertip's pad."""
    rest, joint = model.rest_joints_21(np.zeros(10)), MODEL_JOINT_NAMES.index(f"{finger}_3")
    flexion, dorsal, along = _axes(model)[joint - 1]
    last, tip = (rest[JOINT_NAMES.index(f"{finger}_{i}")] for i in (3, 4))
    offset = model.v_template - (0.35 * last + 0.65 * tip)
    cost = np.hypot(offset @ flexion, offset @ along) + 0.5 * offset @ dorsal
    cost[model.weights[:, joint] < 0.5] = np.inf
    return int(np.argmin(cost))


def _with_pads_together(model: HandModel, betas: Array, start: Array) -> Array:
    """Return the angles next to `start` (15, 3) where the pads of thumb and index finger touch."""
    pads = [_pad(model, "thumb"), _pad(model, "index")]
    moved = [(row, 0) for row in (0, 1, 2, 12, 13, 14)] + [(0, 1), (12, 1), (12, 2)]
    rows, columns = np.array(moved).T
    least, most = model.joint_limits[rows, columns].T

    def posed(free: Array) -> Array:
        trial = start.copy()
        trial[rows, columns] = free
        return trial

    def cost(free: Array) -> Array:
        hand = model.pose(np.eye(3), hand_pose(model, posed(free)), betas, np.zeros(3))
        gap = hand.vertices[pads[0]] - hand.vertices[pads[1]]
        return np.concatenate([gap / 0.001, (free - start[rows, columns]) / 0.3])  # 1 mm against 17 degrees

    guess = np.clip(start[rows, columns], least + 1e-3, most - 1e-3)
    return posed(least_squares(cost, guess, bounds=(least, most)).x)


@lru_cache(maxsize=4)
def _axes(model: HandModel) -> Array:
    return joint_axes(model.rest_joints_21(np.zeros(10)))


def hand_pose(model: HandModel, joint_angles: Array) -> Array:
    """Return the rotations (15, 3, 3) of these angles (15, 3), held within the model's limits."""
    axes = _axes(model)
    held = np.clip(joint_angles, model.joint_limits[..., 0], model.joint_limits[..., 1])
    flexion, abduction, twist = (Rotation.from_rotvec(axes[:, i] * held[:, i, None]) for i in range(3))
    return np.asarray((flexion * abduction * twist).as_matrix())
