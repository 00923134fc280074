"""Text and the seek bar in the window are pictures that hang just before the eye: Open3D draws neither."""

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
_INK: Final = (225, 228, 232)
_BAR_HEIGHT: Final = 26  # px
_TRACK: Final = (74, 78, 88)
_TIMES: Final = 150  # px that place and duration take


class HungPlate:
    """A picture at a place in the window. `mesh` is what the window shows."""

    def __init__(self) -> None:
        triangles = o3d.utility.Vector3iVector(np.array([[0, 2, 1], [0, 3, 2]], np.int32))
        self.mesh = o3d.geometry.TriangleMesh(points(np.zeros((4, 3))), triangles)
        uvs = np.array([[0, 0], [1, 1], [1, 0], [0, 0], [0, 1], [1, 1]], np.float64)
        self.mesh.triangle_uvs = o3d.utility.Vector2dVector(uvs)
        self.mesh.triangle_material_ids = o3d.utility.IntVector([0, 0])
        self._size = (1, 1)
        self._place = np.zeros((4, 3))

    def show(self, image: Image) -> None:
        """Take this picture, (H, W, 3) RGB."""
        self._size = (image.shape[1], image.shape[0])
        self.mesh.textures = [o3d.geometry.Image(image)]  # type: ignore[call-overload]  # its stubs know no arrays

    def hang(self, parameters: Any, left: float = 0.0, top: float = 0.0) -> bool:
        """Hang it at these px in the view of Open3D's camera `parameters`; return whether it was elsewhere before."""
        place = self._corners(parameters, left, top)
        moved = bool(np.abs(place - self._place).max() > 1e-7)
        if moved:
            self._place = place
            self.mesh.vertices = points(place)
        return moved

    def _corners(self, parameters: Any, left: float, top: float) -> Array:
        """Return where the plate's corners (4, 3) are in the scene."""
        width, height = self._size
        pixels = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], np.float64)
        pixels[:, :2] += np.array([left, top]) - 0.5
        T_eye_scene = np.asarray(parameters.extrinsic)
        rays = np.linalg.solve(parameters.intrinsic.intrinsic_matrix, pixels.T).T * _DEPTH
        corners: Array = (rays - T_eye_scene[:3, 3]) @ T_eye_scene[:3, :3]
        return corners


class TextPanel(HungPlate):
    """Lines of text in the top left corner."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[str, ...] = ()

    def update(self, lines: Sequence[str], parameters: Any) -> bool:
        """Show these lines in the view of Open3D's camera `parameters`; return whether anything has changed."""
        changed = tuple(lines) != self._lines
        if changed:
            self._lines = tuple(lines)
            self.show(_drawn_text(self._lines))
        return self.hang(parameters) or changed


class SeekBar(HungPlate):
    """Where a recording is, along the bottom of the window."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[object, ...] = ()
        self._window = (1, 1)  # px

    def update(self, place: float, duration: float, parameters: Any, *, paused: bool) -> bool:
        """Show this place, s, in the view of Open3D's camera `parameters`; return whether anything has changed."""
        self._window = width, height = parameters.intrinsic.width, parameters.intrinsic.height
        words = f"{'||' if paused else '>'} {_clock(place)} / {_clock(duration)}"
        least, most = self._ends()
        x = round(least + (most - least) * min(place / max(duration, 1e-9), 1.0))
        changed = (words, x, width) != self._shown
        if changed:
            self._shown = (words, x, width)
            image = np.full((_BAR_HEIGHT, width, 3), _PLATE, np.uint8)
            cv2.putText(image, words, (_MARGIN, 18), _FONT, _SCALE, _INK, 1, cv2.LINE_AA)
            middle = _BAR_HEIGHT // 2
            cv2.line(image, (round(least), middle), (round(most), middle), _TRACK, 3)
            cv2.line(image, (round(least), middle), (x, middle), _INK, 3)
            cv2.circle(image, (x, middle), 6, _INK, -1, cv2.LINE_AA)
            self.show(image)
        return self.hang(parameters, 0, height - _BAR_HEIGHT) or changed

    def is_at(self, x: float, y: float) -> bool:
        """Return whether this place of the window, px, is on the bar."""
        return y >= self._window[1] - _BAR_HEIGHT and x >= _TIMES

    def share_at(self, x: float) -> float:
        """Return which share of the recording lies left of this place, px."""
        least, most = self._ends()
        return min(max((x - least) / max(most - least, 1.0), 0.0), 1.0)

    def _ends(self) -> tuple[float, float]:
        return float(_TIMES), float(max(self._window[0] - 2 * _MARGIN, _TIMES + 1))


def _clock(seconds: float) -> str:
    """Return a time as in 1:05.3."""
    tenths = int(seconds * 10 + 1e-6)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def _drawn_text(lines: Sequence[str]) -> Image:
    widths = [cv2.getTextSize(line, _FONT, _SCALE, 1)[0][0] for line in lines]
    image = np.full((_LINE * len(lines) + _MARGIN, max(widths, default=0) + 2 * _MARGIN, 3), _PLATE, np.uint8)
    for number, line in enumerate(lines):
        place = (_MARGIN, _LINE * (number + 1) - 2)
        cv2.putText(image, line, place, _FONT, _SCALE, _INK, 1, cv2.LINE_AA)
    return image
