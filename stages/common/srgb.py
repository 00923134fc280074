"""The transfer function of sRGB (IEC 61966-2-1): between what pictures store and linear light, both 0..1."""

from typing import TypeVar

import numpy as np

from hamba_core.arrays import AnyFloats

Floats = TypeVar("Floats", bound=AnyFloats)


def to_linear(encoded: Floats) -> Floats:
    """Take stored values to linear light, of any shape, in their own precision."""
    light: Floats = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)  # type: ignore[assignment]
    return light


def from_linear(light: Floats) -> Floats:
    """Take linear light to stored values, the inverse of `to_linear`."""
    encoded: Floats = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)  # type: ignore[assignment]
    return encoded
