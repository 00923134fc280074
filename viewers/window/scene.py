"""What stands in the window's scene: the hands' shapes, by track; and the camera that the scene is seen through."""

from collections.abc import Iterable
from typing import Any

import open3d as o3d

from hamba_core.view import Intrinsics
from stages.common.palette import Colour, HandColours
from stages.packets import FrameMeta, Hand, HandTopology
from viewers.scene import Look
from viewers.window.shapes import HandShapes


class Scene:
    """The geometry that an Open3D visualizer shows. Adding and removing leave its view as it is."""

    def __init__(self, visualizer: Any) -> None:
        self._visualizer = visualizer
        self._hands: dict[int, tuple[HandShapes, tuple[Any, ...]]] = {}  # by track: its shapes, and those in the scene
        self._colours = HandColours()

    @property
    def has_hands(self) -> bool:
        """Whether any hand is shown."""
        return bool(self._hands)

    def add(self, geometry: Any) -> None:
        """Add something to the scene."""
        self._visualizer.add_geometry(geometry, reset_bounding_box=False)

    def remove(self, geometry: Any) -> None:
        """Take something out of the scene, if it is there."""
        self._visualizer.remove_geometry(geometry, reset_bounding_box=False)

    def show(self, hands: tuple[Hand, ...], model: HandTopology | None, look: Look) -> None:
        """Show these hands, with the surface of `model` where there is one."""
        for hand, colour in zip(hands, self._colours.of(hands), strict=True):
            self._show_hand(hand, model, colour, look)

    def keep_only(self, track_ids: Iterable[int]) -> None:
        """Take all other hands out of the scene."""
        gone = self._hands.keys() - set(track_ids)
        for track_id in gone:
            for part in self._hands.pop(track_id)[1]:
                self.remove(part)
        if gone:
            self._visualizer.update_renderer()

    def _show_hand(self, hand: Hand, model: HandTopology | None, colour: Colour, look: Look) -> None:
        shapes, in_scene = self._hands.get(hand.track_id) or (HandShapes(), ())
        shapes.update(hand, model, colour, look)
        parts = shapes.parts(look)
        if parts == in_scene:
            for part in parts:
                self._visualizer.update_geometry(part)
            return
        for part in in_scene:
            self.remove(part)
        for part in parts:
            self.add(part)
        self._hands[hand.track_id] = (shapes, parts)


def filling_camera(frame: FrameMeta | None, size: tuple[int, int]) -> Any:
    """Return Open3D's camera for a window of this size (px), which the picture fills as far as its shape allows.

    Without a frame it is a camera of the window's own shape.
    """
    camera = frame.camera if frame else Intrinsics.estimate(*size)
    width, height = (frame.width, frame.height) if frame else size
    scale = min(size[0] / width, size[1] / height)
    left, top = (size[0] - width * scale) / 2, (size[1] - height * scale) / 2
    # Open3D takes (0, 0) as the middle of the first pixel.
    return o3d.camera.PinholeCameraIntrinsic(
        *size,
        camera.fx * scale,
        camera.fy * scale,
        camera.cx * scale + left - 0.5,
        camera.cy * scale + top - 0.5,
    )
