"""The pinhole camera.

The camera frame is OpenCV's: x right, y down, z forward, metres. Pixel coordinates have their origin
at the picture's left top corner, so that a picture's centre is (width / 2, height / 2).
"""

from dataclasses import dataclass, field
from math import hypot, isfinite, isnan, nan, radians, tan
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import ConfigurationError

ESTIMATED_FIELD_OF_VIEW = radians(60.0)
"""Assumed for the longer side of a picture when nothing is known: between phones (65-70) and webcams (50-60)."""

ESTIMATED_FOCAL_STD = 0.25
"""Relative standard deviation of a focal length that was assumed: from a phone's wide lens to a normal one."""
MEASURED_FOCAL_STD = 0.01


FILM_DIAGONAL = hypot(36.0, 24.0)
"""mm, of 35 mm film: focal lengths in terms of it go with this diagonal."""


@dataclass(frozen=True)
class Intrinsics:
    """Focal lengths and principal point, in pixels, of an undistorted picture.

    `estimated` is true where nobody measured them and they were assumed. `focal_std` is the relative standard deviation
    of the focal lengths; where it is not given, it is the usual one.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    estimated: bool = False
    focal_std: float = field(default=nan, compare=False)

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy"):  # numbers of NumPy's, too, become Python's, which every format knows
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "estimated", bool(self.estimated))
        if isnan(self.focal_std):
            object.__setattr__(self, "focal_std", ESTIMATED_FOCAL_STD if self.estimated else MEASURED_FOCAL_STD)
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(isfinite(v) for v in values) or self.fx <= 0 or self.fy <= 0:
            raise ConfigurationError(
                f"camera intrinsics: expected finite numbers with fx, fy > 0, found fx, fy, cx, cy = {values}; "
                "give the values in pixels of a calibration of this camera"
            )

    @classmethod
    def from_field_of_view(cls, angle: float, width: int, height: int, *, estimated: bool = False) -> Self:
        """Return a centred camera whose longer picture side spans `angle` radians."""
        if not 0 < angle < np.pi:
            raise ConfigurationError(
                f"field of view: expected an angle between 0 and 180 degrees, found {np.degrees(angle):g}"
            )
        focal = max(width, height) / (2 * tan(angle / 2))
        return cls(focal, focal, width / 2, height / 2, estimated)

    @classmethod
    def estimate(cls, width: int, height: int) -> Self:
        """Return the camera that is assumed where nobody calibrated one, marked as such."""
        return cls.from_field_of_view(ESTIMATED_FIELD_OF_VIEW, width, height, estimated=True)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Return K, (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Project points (..., 3), metres, camera frame, z > 0, to pixels (..., 2)."""
        points = np.asarray(points, np.float64)
        return points[..., :2] / points[..., 2:] * (self.fx, self.fy) + (self.cx, self.cy)

    def rays(self, pixels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the directions (..., 3) of pixels (..., 2) in the camera frame, with z = 1."""
        xy = (np.asarray(pixels, np.float64) - (self.cx, self.cy)) / (self.fx, self.fy)
        return np.concatenate([xy, np.ones_like(xy[..., :1])], -1)

    def scaled(self, factor_x: float, factor_y: float) -> "Intrinsics":
        """Return the camera of the same picture resized by these factors."""
        return Intrinsics(
            self.fx * factor_x,
            self.fy * factor_y,
            self.cx * factor_x,
            self.cy * factor_y,
            self.estimated,
            self.focal_std,
        )
