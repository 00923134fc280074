"""Text in the window is a picture that hangs just before the eye, in the top left corner: Open3D draws no text."""

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import open3d as o3d

from hamba_core.arrays import Array
from stages.packets import Image
from viewers.window.shapes import points

_DEPTH: Final = 0.0102
"""Metres before the eye: what is nearer than a centimetre is not drawn."""

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_SCALE, _LINE, _MARGIN = 0.45, 18, 8  # of letters; px
_PLATE: Final = (16, 18, 22)


class TextPanel:
    """Lines of text. `mesh` is what the window shows."""

    def __init__(self) -> None:
        triangles = o3d.utility.Vector3iVector(np.array([[0, 2, 1], [0, 3, 2]], np.int32))
        self.mesh = o3d.geometry.TriangleMesh(points(np.zeros((4, 3))), triangles)
        uvs = np.array([[0, 0], [1, 1], [1, 0], [0, 0], [0, 1], [1, 1]], np.float64)
        self.mesh.triangle_uvs = o3d.utility.Vector2dVector(uvs)
        self.mesh.triangle_material_ids = o3d.utility.IntVector([0, 0])
        self._lines: tuple[str, ...] = ()
        self._size = (1, 1)
        self._place = np.zeros((4, 3))

    def update(self, lines: Sequence[str], parameters: Any) -> bool:
        """Show these lines in the view of Open3D's camera `parameters`; return whether anything has changed."""
        changed = tuple(lines) != self._lines
        if changed:
            self._lines = tuple(lines)
            image = _drawn(self._lines)
            self._size = (image.shape[1], image.shape[0])
            self.mesh.textures = [o3d.geometry.Image(image)]  # type: ignore[call-overload]  # its stubs know no arrays
        place = self._corners(parameters)
        if changed or np.abs(place - self._place).max() > 1e-7:
            self._place = place
            self.mesh.vertices = points(place)
            return True
        return False

    def _corners(self, parameters: Any) -> Array:
        """Return where the panel's corners (4, 3) are in the scene."""
        width, height = self._size
        pixels = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], np.float64)
        pixels[:, :2] -= 0.5
        T_eye_scene = np.asarray(parameters.extrinsic)
        rays = np.linalg.solve(parameters.intrinsic.intrinsic_matrix, pixels.T).T * _DEPTH
        corners: Array = (rays - T_eye_scene[:3, 3]) @ T_eye_scene[:3, :3]
        return corners


def _drawn(lines: Sequence[str]) -> Image:
    widths = [cv2.getTextSize(line, _FONT, _SCALE, 1)[0][0] for line in lines]
    image = np.full((_LINE * len(lines) + _MARGIN, max(widths, default=0) + 2 * _MARGIN, 3), _PLATE, np.uint8)
    for number, line in enumerate(lines):
        place = (_MARGIN, _LINE * (number + 1) - 2)
        cv2.putText(image, line, place, _FONT, _SCALE, (225, 228, 232), 1, cv2.LINE_AA)
    return image
