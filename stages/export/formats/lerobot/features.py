"""What a frame of the data set holds of the hands: the same numbers for every frame, whether hands are there or not.

Each side has its place. Where it has no hand, `valid` is false and all its numbers are 0, since a policy's network
cannot take NaN.
"""

from typing import Any, Final

import numpy as np

from hamba_core.arrays import Array, BoolArray, Float32Array
from hamba_core.hand import JOINT_NAMES, MIRROR, SIDES, Side, log_so3, to_quaternion
from stages.packets import EVENT_KINDS, FrameResult, Hand

_XYZ: Final = ("x", "y", "z")
POSE: Final = ("x", "y", "z", "qx", "qy", "qz", "qw")
JOINTS: Final = tuple(f"{joint}.{axis}" for joint in JOINT_NAMES for axis in _XYZ)
PARAMETERS: Final = (
    *(f"global_orient.{axis}" for axis in _XYZ),
    *(f"hand_pose_{number}.{axis}" for number in range(15) for axis in _XYZ),
    *(f"betas_{number}" for number in range(10)),
    *(f"translation.{axis}" for axis in _XYZ),
)
WORLD: Final = "observation.camera_in_world"

Value = Float32Array | BoolArray


def features(*, in_world: bool) -> dict[str, dict[str, Any]]:
    """Return LeRobot's description of each column but its own: type, shape and names."""
    found = {"observation.state": _numbers([f"{side}.{name}" for side in SIDES for name in (*POSE, *JOINTS)])}
    for side in SIDES:
        found |= {
            f"observation.{side}.valid": {"dtype": "bool", "shape": [1], "names": ["valid"]},
            f"observation.{side}.wrist": _numbers(POSE),
            f"observation.{side}.joints": _numbers(JOINTS),
            f"observation.{side}.parameters": _numbers(PARAMETERS),
            f"observation.{side}.visibility": _numbers(JOINT_NAMES),
            f"observation.{side}.events": _numbers(EVENT_KINDS),
        }
    if in_world:
        found[WORLD] = _numbers(("valid", *POSE))
    return found


def _numbers(names: "list[str] | tuple[str, ...]") -> dict[str, Any]:
    return {"dtype": "float32", "shape": [len(names)], "names": list(names)}


def values(result: FrameResult, *, in_world: bool) -> dict[str, Value]:
    """Return the columns of one frame, in the camera's frame."""
    found: dict[str, Value] = {}
    state = []
    for side in SIDES:
        of_side = _of_side(result, side)
        found |= of_side
        state += [of_side[f"observation.{side}.wrist"], of_side[f"observation.{side}.joints"]]
    found["observation.state"] = np.concatenate(state).astype(np.float32)
    if in_world:
        world = result.frame.world
        found[WORLD] = np.zeros(8, np.float32)
        if world is not None:
            T = world.T_world_camera
            found[WORLD] = np.array([1, *T[:3, 3], *to_quaternion(T[:3, :3])], np.float32)
    return found


def _of_side(result: FrameResult, side: Side) -> dict[str, Value]:
    """Return the columns of the hand of this side that is likeliest."""
    hand = max((hand for hand in result.hands if hand.side == side), key=lambda hand: hand.score, default=None)
    name = f"observation.{side}"
    if hand is None:
        sizes = {"wrist": 7, "joints": 63, "parameters": len(PARAMETERS), "visibility": 21, "events": len(EVENT_KINDS)}
        empty = {f"{name}.{part}": np.zeros(size, np.float32) for part, size in sizes.items()}
        return {f"{name}.valid": np.array([False]), **empty}
    doing = {
        event.kind: event.confidence
        for event in result.events
        if (event.track_id, event.side) == (hand.track_id, side) and event.phase != "end"
    }
    return {
        f"{name}.valid": np.array([True]),
        f"{name}.wrist": np.array([*hand.joints[0], *to_quaternion(wrist_rotation(hand))], np.float32),
        f"{name}.joints": hand.joints.astype(np.float32).ravel(),
        f"{name}.parameters": parameters_of(hand),
        f"{name}.visibility": np.zeros(21, np.float32) if hand.visibility is None else hand.visibility,
        f"{name}.events": np.array([doing.get(kind, 0.0) for kind in EVENT_KINDS], np.float32),
    }


def wrist_rotation(hand: Hand) -> Array:
    """Return how the real hand is turned, (3, 3): of a left one too, whose `global_orient` is its mirror's."""
    R = hand.global_orient.astype(np.float64)
    return np.asarray(MIRROR @ R @ MIRROR) if hand.side == "left" else R


def parameters_of(hand: Hand) -> Float32Array:
    """Return the model's parameters (61,), rotations as rotation vectors, as PARAMETERS names them."""
    vectors = log_so3(np.concatenate([hand.global_orient[None], hand.hand_pose]).astype(np.float64))
    return np.concatenate([vectors.ravel(), hand.betas, hand.translation]).astype(np.float32)
