"""Dark pictures are multiplied until they are bright; bright ones stay as they are, and nothing flickers between."""

import numpy as np
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from stages.detection.exposure import exposed

pictures = arrays(np.uint8, (24, 32, 3))


@given(pictures, st.floats(0.005, 0.5))
@settings(max_examples=50)
def test_no_picture_gets_darker_and_all_its_pixels_are_multiplied_alike(picture: np.ndarray, brightest: float) -> None:
    given = picture.copy()
    shown = exposed(picture, brightest)
    assert (picture == given).all()
    assert (shown >= picture).all()
    factors = shown[(picture > 20) & (shown < 255)] / picture[(picture > 20) & (shown < 255)]
    assert np.ptp(factors) < 0.06 if factors.size else True


def test_the_brightest_share_becomes_bright_and_bright_pictures_stay() -> None:
    picture = np.full((40, 40, 3), 8, np.uint8)
    picture[:12, :12] = 40  # a dark hand before a darker wall
    shown = exposed(picture, 0.05)
    assert shown[0, 0].tolist() == [224] * 3
    assert shown[-1, -1].tolist() == [45] * 3
    lit = np.full((40, 40, 3), 230, np.uint8)
    assert exposed(lit, 0.05) is lit


def test_a_video_that_gets_dark_does_not_flicker() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.float64)
    shown = [exposed((picture * light).astype(np.uint8), 0.05).mean() for light in np.linspace(1, 0.3, 100)]
    assert np.abs(np.diff(shown)).max() < 2


def test_black_stays_black() -> None:
    assert not exposed(np.zeros((3, 5, 3), np.uint8), 0.05).any()
    assert exposed(np.ones((1, 1, 3), np.uint8), 0.005).tolist() == [[[24] * 3]]
