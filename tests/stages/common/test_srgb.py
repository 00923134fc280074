"""The transfer function of sRGB."""

import numpy as np
import pytest

from stages.common.srgb import from_linear, to_linear


@pytest.mark.parametrize(
    ("encoded", "light"), [(0, 0), (1, 1), (0.5, 0.214041), (128 / 255, 0.215861), (0.04, 0.04 / 12.92)]
)
def test_stored_values_are_this_much_light(encoded: float, light: float) -> None:
    assert to_linear(np.array([encoded]))[0] == pytest.approx(light, abs=1e-6)
    assert from_linear(np.array([light]))[0] == pytest.approx(encoded, abs=1e-5)


def test_one_is_the_inverse_of_the_other_in_either_precision() -> None:
    for dtype in ("float32", "float64"):
        values = np.linspace(0, 1, 1001).astype(dtype)
        there = to_linear(values)
        assert there.dtype == dtype
        np.testing.assert_allclose(from_linear(there), values, atol=2e-5)
