"""Quality falls as joints leave those that were seen; places are as uncertain as the lens and the hand's size."""

from dataclasses import replace

import numpy as np
import pytest

from hamba_core.view import Intrinsics
from stages.packets import HandBox
from stages.reconstruction.quality import HAND_SIZES, picture_error, quality_of, translation_std

JOINTS = np.random.default_rng(0).uniform(100, 300, (21, 2)).astype(np.float32)
BOX = HandBox("right", 0.9, np.array([100, 100, 300, 300]), JOINTS, np.zeros((21, 3)), 1)  # type: ignore[arg-type]


def test_quality_is_one_where_joints_are_as_seen_and_a_half_a_tenth_of_the_hands_size_away() -> None:
    size = float(np.hypot(*np.ptp(JOINTS, axis=0)))
    assert quality_of(BOX, picture_error(JOINTS, BOX)) == 1
    assert quality_of(BOX, picture_error(JOINTS + np.array([0.1 * size, 0]), BOX)) == pytest.approx(0.5, abs=1e-4)
    assert quality_of(BOX, picture_error(JOINTS + np.array([3 * size, 0]), BOX)) == 0


def test_a_hand_that_was_looked_for_in_vain_has_no_quality() -> None:
    assert quality_of(replace(BOX, seen=False, missed=True), 0.0) == 0
    assert quality_of(replace(BOX, seen=False), 0.0) == 1, "nobody looked: it is where it is expected"


def test_depth_is_less_certain_where_the_lens_was_assumed() -> None:
    place = np.array([0.1, 0.0, 0.5])
    assumed = translation_std(place, BOX, 0.02, Intrinsics(500, 500, 320, 240, estimated=True))
    measured = translation_std(place, BOX, 0.02, Intrinsics(500, 500, 320, 240))
    assert assumed[2] > 0.2 * place[2]
    assert measured[2] == pytest.approx(0.5 * HAND_SIZES, rel=0.1)
    np.testing.assert_allclose(assumed[:2], measured[:2], err_msg="across the line of sight the lens does not matter")


def test_the_spread_of_places_over_lenses_and_hand_sizes_is_what_is_told() -> None:
    """A hand of unknown size, seen through an unknown lens, is put where its size in the picture says."""
    random = np.random.default_rng(1)
    size, focal = (1 + random.normal(0, share, 20_000) for share in (HAND_SIZES, 0.1))
    pixels = np.array([200.0, -50.0])  # from the principal point, of a hand truly 0.18 m long and 0.6 m away
    depth = 0.6 * focal / size
    places = np.column_stack([pixels / 500 * (depth / focal)[:, None], depth])
    told = translation_std(
        np.array([0.24, -0.06, 0.6]), BOX, 0.0, Intrinsics(500, 500, 320, 240, estimated=True, focal_std=0.1)
    )
    np.testing.assert_allclose(places.std(0), told, rtol=0.1)
