"""The camera that looks straight at a hand's crop: the frame that hamba-s works in."""

from dataclasses import dataclass

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import exp_so3
from hamba_core.view import Intrinsics


@dataclass(frozen=True, eq=False)
class CropView:
    """Where a crop looks.

    `T_crop_picture` (2, 3) takes pixels of the picture to pixels of the crop: a turn, a scale, a shift, and for a left
    hand a mirroring, after which it is a right one. `crop` is the crop's side, px.
    """

    T_crop_picture: Array
    camera: Intrinsics
    crop: int
    R_view_camera: Array
    """(3, 3): the camera's axes to the view's; with a mirroring (determinant -1) where the crop is mirrored."""
    focal_length: float
    """In half crops: a hand that fills its crop is about as large in the view."""

    @classmethod
    def of(cls, T_crop_picture: Array, camera: Intrinsics, crop: int) -> "CropView":
        """Return the view of a crop."""
        linear = T_crop_picture[:, :2]
        scale = float(np.sqrt(abs(np.linalg.det(linear))))
        R = np.eye(3)
        R[:2, :2] = linear / scale
        middle = np.linalg.solve(linear, np.full(2, crop / 2) - T_crop_picture[:, 2])
        x, y, z = R @ camera.rays(middle)
        off_axis = float(np.hypot(x, y))
        # Turns the ray through the crop's middle onto the optical axis.
        turn = exp_so3(np.array([y, -x, 0.0]) * (np.arctan2(off_axis, z) / max(off_axis, 1e-12)))
        focal = (camera.fx + camera.fy) / 2 * scale / (crop / 2)
        return cls(T_crop_picture, camera, crop, turn @ R, focal)

    def rays(self, pixels: Array) -> Array:
        """Take pixels (..., 2) of the crop to x / z and y / z (..., 2) in the view; those behind it, at its side."""
        A = self.T_crop_picture
        picture = (pixels - A[:, 2]) @ np.linalg.inv(A[:, :2]).T
        directions = self.camera.rays(picture) @ self.R_view_camera.T
        rays: Array = directions[..., :2] / np.maximum(directions[..., 2:], 0.05)
        return rays

    def from_camera(self, points: Array) -> Array:
        """Take points (..., 3) of the camera's frame to the view's; those of a left hand become a right one's."""
        turned: Array = points @ self.R_view_camera.T
        return turned

    def to_camera(self, points: Array) -> Array:
        """Undo `from_camera`."""
        turned: Array = points @ self.R_view_camera
        return turned

    @property
    def R_view_hand(self) -> Array:  # noqa: N802 - a rotation, as in the field
        """(3, 3) proper: takes the `global_orient` of a hand's parameters, which for a left one are mirrored, here."""
        proper: Array = self.R_view_camera * (np.linalg.det(self.R_view_camera), 1, 1)
        return proper
