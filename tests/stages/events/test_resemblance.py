"""What a pose is taken for."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.arrays import Array
from hamba_core.hand import MIRROR, exp_so3, load_generic_hand
from stages.events import INVOLVED, strengths
from stages.events.events import ENTER
from stages.packets import EVENT_KINDS
from stages.synthetic.motion.gestures import hand_pose, make_gestures

MODEL = load_generic_hand()
THUMB_UP = exp_so3(np.array([0, 0, -np.pi / 2]))


def _joints(gesture: str, betas: Array) -> Array:
    """The gesture, with the fingers along x or wherever the model's rest pose has them."""
    angles = make_gestures(MODEL, betas)[gesture]
    return MODEL.pose(np.eye(3), hand_pose(MODEL, angles), betas, np.array([0, 0, 0.6])).joints


def _with_thumb_up(joints: Array) -> Array:
    """Turned so that the thumb's end points to the top of the picture."""
    along = joints[4] - joints[2]
    along = along / np.linalg.norm(along)
    up = np.array([0.0, -1, 0])
    axis = np.cross(along, up)
    angle = np.arctan2(np.linalg.norm(axis), along @ up)
    R = exp_so3(axis / max(float(np.linalg.norm(axis)), 1e-9) * angle)
    return np.asarray((joints - joints[0]) @ R.T + joints[0])


@pytest.mark.parametrize("shape", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize(
    ("gesture", "kind"),
    [("pinch", "pinch"), ("fist", "grab"), ("one", "point"), ("open", "open"), ("relaxed", "open"),
     ("thumbs_up", "thumbs_up"), ("two", None), ("three", None)],
)  # fmt: skip
def test_a_gesture_is_taken_for_what_it_is_and_for_nothing_else(gesture: str, kind: str | None, shape: float) -> None:
    joints = _joints(gesture, np.full(10, shape))
    if kind == "thumbs_up":
        joints = _with_thumb_up(joints)
    found = dict(zip(EVENT_KINDS, strengths(joints), strict=True))
    for name, strength in found.items():
        if name == kind:
            assert strength > 0.85
        elif kind is not None or name != "open":
            assert strength < 0.5, f"{name} is too weak to start"


def test_a_thumb_that_points_down_is_no_thumbs_up() -> None:
    joints = _with_thumb_up(_joints("thumbs_up", np.zeros(10)))
    assert strengths(joints * (1, -1, 1))[EVENT_KINDS.index("thumbs_up")] == 0


def test_an_almost_pinch_is_too_weak_to_start() -> None:
    assert strengths(_joints("almost_pinch", np.zeros(10)))[EVENT_KINDS.index("pinch")] < ENTER


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.floats(0.3, 3), st.sampled_from(["pinch", "fist", "one"]))
def test_neither_size_nor_side_nor_direction_matters(turn: list[float], scale: float, gesture: str) -> None:
    joints = _joints(gesture, np.zeros(10))
    moved = scale * joints @ exp_so3(np.array(turn)).T + (0.1, 0.2, 0.3)
    upright = EVENT_KINDS.index("thumbs_up")
    assert np.allclose(np.delete(strengths(moved) - strengths(joints), upright), 0, atol=1e-6)
    assert np.allclose(strengths(joints @ MIRROR), strengths(joints))


def test_every_kind_names_the_joints_that_tell() -> None:
    assert set(INVOLVED) == set(EVENT_KINDS)


def test_a_hand_without_extent_does_nothing_and_is_no_error() -> None:
    assert np.isfinite(strengths(np.zeros((21, 3)))).all()
