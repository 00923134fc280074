"""Hands seen from anywhere: the recording's camera, turned about them, over a plain background with a floor."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array
from hamba_core.hand import exp_so3
from hamba_core.view import Intrinsics
from stages.export.settings import ExportSettings
from stages.export.tracks import Track
from stages.packets import FrameMeta, FrameResult, Hand, Image

_NEAREST: Final = 0.02  # m; a hand that reaches nearer to the camera, or behind it, is not drawn
_ABOVE: Final = np.array([44.0, 48, 56])  # the background's colours
_BELOW: Final = np.array([24.0, 26, 30])
_LINE: Final = np.array([86.0, 92, 104])
_SPACING: Final = 0.1  # m between lines
_REACH: Final = 1.2  # m from the middle to where they have faded
_UNDER: Final = 0.03  # m between the lowest joint and the floor


@dataclass(frozen=True)
class Orbit:
    """A camera like the recording's, that was turned about a point in the hands' midst and moved nearer or farther.

    Without a turn and a distance it is the recording's own; otherwise it looks at that point.
    """

    middle: NDArray[np.float64]  # (3,) m, camera frame of the recording
    floor: float  # m, y of the floor in that frame, which takes the recording's camera as level
    R_view_camera: NDArray[np.float64]  # (3, 3)
    t_view_middle: NDArray[np.float64]  # (3,) m, the middle in the frame of the view

    @classmethod
    def about(cls, tracks: Iterable[Track], settings: ExportSettings) -> "Orbit":
        """Make an orbit about the mean of all joints of these tracks, from `azimuth`, `elevation` and `distance`."""
        count, total, lowest = 0, np.zeros(3), -np.inf
        for track in tracks:
            for rows, _ in track.blocks(vertices=False):
                joints = rows["joints"][rows["valid"]].reshape(-1, 3).astype(np.float64)
                if len(joints):
                    count, total, lowest = count + len(joints), total + joints.sum(0), max(lowest, joints[:, 1].max())
        middle = total / max(count, 1)
        azimuth, elevation = np.radians([settings.azimuth, settings.elevation])
        turn = exp_so3(np.array([elevation, 0, 0])) @ exp_so3(np.array([0, azimuth, 0]))
        own = settings.distance is None and azimuth == elevation == 0
        distance = float(np.linalg.norm(middle)) if settings.distance is None else settings.distance
        return cls(middle, lowest + _UNDER, turn, middle if own else np.array([0, 0, distance]))

    def seen(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points (..., 3) of the recording's camera frame in the frame of the view."""
        turned: NDArray[np.float64] = (points - self.middle) @ self.R_view_camera.T + self.t_view_middle
        return turned

    def picture(self, result: FrameResult, background: Image) -> FrameResult:
        """Return the frame as this view shows it. Of its hands only what is drawn is right: joints and vertices."""
        hands = (self._hand(hand, result.frame.camera) for hand in result.hands)
        return replace(result, hands=tuple(hand for hand in hands if hand is not None), image=background)

    def _hand(self, hand: Hand, camera: Intrinsics) -> Hand | None:
        joints = self.seen(hand.joints)
        if joints[:, 2].min() < _NEAREST:
            return None
        vertices = self.seen(hand.vertices).astype(np.float32)
        joints_2d = camera.project(joints).astype(np.float32)
        return replace(hand, joints=joints.astype(np.float32), vertices=vertices, joints_2d=joints_2d)

    def background(self, frame: FrameMeta) -> Image:
        """Return what is behind the hands, of this frame's size: a floor of squares, a decimetre wide."""
        import cv2

        shade = np.linspace(0, 1, frame.height)[:, None, None]
        picture = np.broadcast_to(_ABOVE + (_BELOW - _ABOVE) * shade, (frame.height, frame.width, 3)).astype(
            np.uint8, "C"
        )
        width = max(1, round(min(frame.width, frame.height) / 480))
        for line in self._floor_lines():
            points = self.seen(line)
            strength = np.clip(1 - np.linalg.norm((line - self.middle)[:, [0, 2]], axis=1) / _REACH, 0, 1)
            ahead = points[:, 2] > _NEAREST
            pixels = np.clip(frame.camera.project(np.where(ahead[:, None], points, (0, 0, 1))), -20_000, 20_000)
            ends = np.round(pixels * 16).astype(int).tolist()
            for i in np.flatnonzero(ahead[1:] & ahead[:-1] & (strength[1:] > 0)):
                colour = (_ABOVE + (_LINE - _ABOVE) * strength[i + 1]).tolist()
                cv2.line(picture, ends[i], ends[i + 1], colour, width, cv2.LINE_AA, 4)
        return picture

    def _floor_lines(self) -> Iterable[Float32Array | NDArray[np.float64]]:
        """Return lines (N, 3) of the floor in the recording's camera frame, both ways."""
        x, _, z = np.round(self.middle / _SPACING) * _SPACING
        along = np.arange(-_REACH, _REACH + 1e-9, _SPACING / 2)
        for across in np.arange(-_REACH, _REACH + 1e-9, _SPACING):
            still, level = np.full_like(along, across), np.full_like(along, self.floor)
            yield np.stack([x + along, level, z + still], 1)
            yield np.stack([x + still, level, z + along], 1)
