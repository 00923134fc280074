"""Packets check themselves, share arrays safely and never print data."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.arrays import Array
from hamba_core.errors import PacketError
from hamba_core.hand import Side, exp_so3, load_generic_hand
from hamba_core.view import Intrinsics
from stages.packets import Frame, FrameMeta, Hand, HandBox, HandEvent, HandTopology, WorldPose

CAMERA = Intrinsics(600, 600, 320, 240)


def meta(width: int = 4, height: int = 3) -> FrameMeta:
    return FrameMeta("hands", 0, 0.0, 1, width, height, CAMERA)


def box(**changes: object) -> HandBox:
    values: dict[str, object] = {
        "side": "left",
        "score": 0.5,
        "box": [0, 0, 1, 1],
        "joints_2d": np.zeros((21, 2)),
        "joints_world": np.zeros((21, 3)),
    }
    return HandBox(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_hand_taken_for_one_of_the_other_side_is_mirrored_in_depth_and_back(side: Side) -> None:
    world = np.random.default_rng(0).normal(0, 0.05, (21, 3)).astype(np.float32)
    own = box(side=side, joints_world=world)
    assert own.of_side(side) is own
    other = own.of_side("left" if side == "right" else "right")
    assert other.side != side
    np.testing.assert_array_equal(other.joints_world, world * np.array([1, 1, -1], np.float32))
    np.testing.assert_array_equal(other.of_side(side).joints_world, world)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_a_frame_is_accepted_exactly_when_its_picture_has_the_stated_size(w: int, h: int, w2: int, h2: int) -> None:
    image = np.zeros((h2, w2, 3), np.uint8)
    if (w, h) == (w2, h2):
        assert Frame(meta(w, h), image).image.shape == (h, w, 3)
    else:
        with pytest.raises(PacketError, match="expected shape"):
            Frame(meta(w, h), image)


def test_a_frame_refuses_pictures_that_are_not_bytes() -> None:
    with pytest.raises(PacketError, match="expected uint8, found float32"):
        Frame(meta(), np.zeros((3, 4, 3), np.float32))


def test_arrays_are_read_only_in_a_packet_and_stay_writable_for_their_owner() -> None:
    image = np.zeros((3, 4, 3), np.uint8)
    frame = Frame(meta(), image)
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0, 0] = 1
    image[0, 0, 0] = 1
    assert frame.image[0, 0, 0] == 1, "shared, not copied"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side": "Left"}, "expected 'left' or 'right', found 'Left'"),
        ({"score": 1.5}, r"expected 0\.\.1, found 1.5"),
        ({"score": float("nan")}, r"expected 0\.\.1"),
        ({"box": [0, 0, 1]}, r"expected shape \(4\), found \(3,\)"),
        ({"box": [2, 0, 1, 1]}, "left <= right"),
        ({"joints_2d": np.full((21, 2), np.nan)}, "finite"),
        ({"joints_world": np.zeros((20, 3))}, r"expected shape \(21, 3\)"),
        ({"joints_world": "joints"}, "expected numbers, found str"),
    ],
)
def test_a_hand_box_says_what_it_expected_and_what_it_found(changes: dict[str, object], message: str) -> None:
    with pytest.raises(PacketError, match=message):
        box(**changes)


def test_repr_prints_shapes_and_never_data() -> None:
    text = repr(Frame(meta(), np.full((3, 4, 3), 77, np.uint8)))
    assert "image=uint8(3, 4, 3)" in text
    assert "77" not in text


def test_topology_refuses_faces_of_vertices_that_are_not_there() -> None:
    with pytest.raises(PacketError, match=r"expected vertices 0\.\.2"):
        HandTopology("x", 3, np.array([[0, 1, 3]], np.int32), np.array([[0, 1, 2]], np.int32))


def test_a_topology_is_its_models() -> None:
    model = load_generic_hand()
    topology = HandTopology.of(model)
    assert (topology.name, topology.vertices) == ("generic", len(model.v_template))
    np.testing.assert_array_equal(topology.faces_right, model.faces)
    np.testing.assert_array_equal(topology.faces_left, model.faces[:, ::-1])


def _pose(vector: list[float], place: list[float]) -> WorldPose:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = exp_so3(np.array(vector)), place
    return WorldPose(T, "file")


_numbers = st.floats(-2, 2)
_vectors = st.lists(_numbers, min_size=3, max_size=3)


@given(_vectors, _vectors, _vectors, st.sampled_from(["left", "right"]))
def test_a_hand_in_the_world_is_what_its_parameters_pose_there(
    turn: list[float], place: list[float], orient: list[float], side: Side
) -> None:
    model, world = load_generic_hand(), _pose(turn, place)
    rest = np.tile(np.eye(3), (15, 1, 1))
    posed = model.pose(exp_so3(np.array(orient)), rest, np.ones(10), np.array([0.1, 0.2, 0.6]), side)
    arrays = (
        np.zeros(4), exp_so3(np.array(orient)), rest, np.ones(10), np.array([0.1, 0.2, 0.6]),
        posed.joints, np.zeros((21, 2)), posed.vertices,
    )  # fmt: skip
    hand = replace(
        Hand(0, side, 1.0, *(array.astype(np.float32) for array in arrays)),  # type: ignore[arg-type]
        translation_std=np.full(3, 0.01, np.float32),
    )
    there = hand.in_world(world)
    orientation, betas, translation = (
        array.astype(np.float64) for array in (there.global_orient, there.betas, there.translation)
    )
    again = model.pose(orientation, rest, betas, translation, side)
    assert np.allclose(there.joints, again.joints, atol=1e-5)
    assert np.allclose(there.vertices, again.vertices, atol=1e-5)
    assert np.allclose(there.vertices, world.points(hand.vertices), atol=1e-5)
    assert there.translation_std is not None
    assert np.allclose(there.translation_std, 0.01), "the same in all directions, so it is that in any frame"


@pytest.mark.parametrize(
    "matrix",
    [
        2 * np.eye(4),
        1e200 * np.eye(4),
        np.eye(4) + 1e200 * np.eye(4, k=3),
        np.diag([-1.0, 1, 1, 1]),
        np.eye(4) + np.eye(4)[::-1],
        np.eye(3),
    ],
)
def test_a_world_pose_that_is_no_rotation_and_translation_is_refused(matrix: Array) -> None:
    with pytest.raises(PacketError, match="T_world_camera: expected"):
        WorldPose(matrix, "file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"kind": "wink"}, "found 'wink'"), ({"phase": "now"}, "in 'now'"), ({"confidence": 1.5}, "1.5"),
     ({"held": -1.0}, "-1"), ({"held": float("nan")}, "nan"), ({"side": "up"}, "'up'")],
)  # fmt: skip
def test_an_event_that_says_nothing_sensible_is_refused(changes: dict[str, object], message: str) -> None:
    values = {"track_id": 1, "side": "left", "kind": "pinch", "phase": "start", "confidence": 1.0, "held": 0.0}
    HandEvent(**values)  # type: ignore[arg-type]
    with pytest.raises(PacketError, match=message):
        HandEvent(**{**values, **changes})  # type: ignore[arg-type]
