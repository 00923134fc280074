"""Distances between hands do not depend on where they are or how large the picture is."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from hamba_core.arrays import Array
from stages.common.proximity import box_overlap, hand_size, joint_distance, tight_box

joints = arrays(np.float64, (21, 2), elements=st.floats(-2000, 2000, width=32)).filter(
    lambda points: hand_size(points) > 10
)


@given(joints, joints, st.floats(1, 8), st.floats(-500, 500))
def test_joint_distance_is_symmetric_and_knows_no_scale_or_place(
    first: Array, second: Array, scale: float, shift: float
) -> None:
    distance = joint_distance(first, second)
    assert joint_distance(second, first) == pytest.approx(distance)
    assert joint_distance(first * scale + shift, second * scale + shift) == pytest.approx(distance)
    assert joint_distance(first, first) == 0


@given(joints, st.floats(0, 3))
def test_a_hand_moved_by_a_share_of_its_size_is_that_share_away(hand: Array, share: float) -> None:
    assert joint_distance(hand, hand + np.array([share * hand_size(hand), 0])) == pytest.approx(share)


@given(joints, joints)
def test_overlap_is_symmetric_between_0_and_1_and_1_with_itself(first: Array, second: Array) -> None:
    overlap = box_overlap(tight_box(first), tight_box(second))
    assert 0 <= overlap <= 1
    assert box_overlap(tight_box(second), tight_box(first)) == pytest.approx(overlap)


def test_overlap_of_known_boxes() -> None:
    assert box_overlap(np.array([0, 0, 2, 2]), np.array([1, 0, 3, 2])) == pytest.approx(1 / 3)
    assert box_overlap(np.array([0, 0, 1, 1]), np.array([1, 1, 2, 2])) == 0
    assert box_overlap(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])) == 1
    assert box_overlap(np.zeros(4), np.zeros(4)) == 0, "boxes without area"


def test_a_hand_seen_as_a_point_has_a_size_of_one_pixel() -> None:
    assert hand_size(np.zeros((21, 2))) == 1
    assert joint_distance(np.zeros((21, 2)), np.ones((21, 2))) == pytest.approx(np.sqrt(2))
