"""Packets check themselves, share arrays safely and never print data."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.errors import PacketError
from hamba_core.hand import load_generic_hand
from hamba_core.view import Intrinsics
from stages.packets import Frame, FrameMeta, HandBox, HandTopology

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
