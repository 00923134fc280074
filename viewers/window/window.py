"""The live viewer is a window with the hands that a pipeline publishes, in 3D (Open3D).

Two views: through the camera, over its picture where pictures are published, and from anywhere. Either may be shown as
in a mirror. A person at the window presses H for help.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import open3d as o3d

from hamba_core.errors import DeviceError
from stages.packets import FrameMeta, FrameResult, HandTopology
from stages.wire import ImageMessage
from viewers.client import HandClient
from viewers.player import Player
from viewers.reflection import reflected_frame, reflected_picture, reflected_result, reflected_topology
from viewers.scene import (
    BACKGROUND,
    CAMERA_COLOR,
    FREE_VIEW_EYE,
    GRID_COLOR,
    LOOKS,
    MIDDLE,
    Look,
    camera_frustum,
    ground_grid,
    look_at,
    other_camera,
)
from viewers.watch import Following, Watch
from viewers.window.playing import Playing
from viewers.window.scene import Scene, filling_camera
from viewers.window.screen import screen
from viewers.window.shapes import HungPicture, lines, points
from viewers.window.words import HELP, Words

View = Literal["camera", "free"]

_SHORTEST = 1 / 75
"""Seconds between two frames: faster, no screen shows them."""

_SHORTEST_IF_SLOW = 1 / 40
"""As much where drawing is slow, for want of a GPU: it would take the processor from the pipeline."""

_SLOW = 1 / 100
"""Drawing that takes more seconds than this is slow."""

_ESCAPE = 256


class HandWindow:
    """A window that follows a `HandClient`. Call `step` in a loop from the thread that made it; `close` at the end.

    `say` is called with what the person asked to be told (help, a screenshot's path); screenshots go to that folder.
    `words` says whether numbers stand in the corner, and the keys once H was pressed. `player` is what plays the
    recording that is shown, if it is one: keys pause it and go back and on, and a bar is dragged. `mirror` shows all as
    in a mirror.
    Raises DeviceError if no window can be opened.
    """

    def __init__(
        self,
        client: HandClient,
        *,
        width: int = 800,
        height: int = 600,
        screenshots: Path = Path(),
        say: Callable[[str], None] = lambda text: None,
        player: Player | None = None,
        words: bool = True,
        mirror: bool = False,
    ) -> None:
        self.client = client
        self.watch = Watch(client)
        self._following = Following(client)
        self.view: View = "camera"
        self.look: Look = "mesh"
        self._say = say
        self._screenshots = screenshots
        self._playing = Playing(player, say) if player is not None else None
        self.mirror = mirror
        self._size = (width, height)
        self._given: FrameResult | None = None  # as it came
        self._given_picture: ImageMessage | None = None
        self._result: FrameResult | None = None  # as it is shown
        self._given_model: HandTopology | None = None
        self._model: HandTopology | None = None
        self._frame: FrameMeta | None = None
        self._frustum: Any = None
        self._picture: HungPicture | None = None
        self._running = True
        self._next_show = 0.0
        self._drawing = 0.0  # s a frame, smoothed
        self._words, self._shows_words = Words(), words
        o3d.utility.set_verbosity_level(o3d.utility.VerbosityLevel.Error)
        self._visualizer = o3d.visualization.VisualizerWithKeyCallback()
        with screen() as found:
            # Without a screen Open3D would draw a window that cannot be seen.
            if not found or not self._visualizer.create_window("Hamba", width, height):
                raise DeviceError(
                    "cannot open a window: expected a screen with OpenGL, found none. On a machine without a screen, "
                    "use `hamba web`"
                )
        self._scene = Scene(self._visualizer)
        options = self._visualizer.get_render_option()
        options.background_color = np.array(BACKGROUND) / 255
        options.mesh_shade_option = o3d.visualization.MeshShadeOption.Color  # Open3D's name for smooth shading
        options.mesh_show_back_face = False  # meshes are closed, and it takes a third off the drawing
        options.point_size = 8.0
        options.line_width = 3.0
        self._grid = lines(*ground_grid(), GRID_COLOR)
        # The mouse turns the view about the middle of the first box that Open3D is shown; without one nothing shows.
        region = o3d.geometry.PointCloud(points(np.add(MIDDLE, [[-0.2], [0.2]])))
        self._visualizer.add_geometry(region)
        self._scene.remove(region)
        if words:
            self._scene.add(self._words.panel.mesh)
        if self._playing is not None:
            self._scene.add(self._playing.bar.mesh)
            self._playing.listen(self._visualizer)
        for key, action in self._actions().items():
            self._visualizer.register_key_callback(key, _key(action))
        self.reset_view()

    def _actions(self) -> dict[int, Callable[[], None]]:
        return {
            ord("H"): self._help,
            ord("V"): self.switch_view,
            ord("M"): self.switch_look,
            ord("R"): self.reset_view,
            ord("S"): self._take_screenshot,
            ord("F"): self.switch_mirror,
            ord("Q"): self.stop,
            _ESCAPE: self.stop,
            **(self._playing.actions() if self._playing is not None else {}),
        }

    def _help(self) -> None:
        """Show the keys, also in the window, or hide them again."""
        if self._words.switch_help():
            self._say(HELP)

    def _show_words(self) -> None:
        hands = self._result.hands if self._result is not None else ()
        if self._words.update(self.watch, hands, self._eye()):
            self._visualizer.update_geometry(self._words.panel.mesh)

    def _eye(self) -> Any:
        return self._visualizer.get_view_control().convert_to_pinhole_camera_parameters()

    def step(self) -> bool:
        """Show what is newest and let the window work; return False once it is closed. Waits at most 10 ms for news."""
        # Messages are left to wait while it is too early to show them, so that the one that is shown is the newest.
        early = self._next_show - time.monotonic()
        if early > 0:
            time.sleep(min(early, 0.01))
        message, picture = self._following.next(timeout=0.01) if early <= 0 else (None, None)
        if message is not None:
            self._show(message.result)
        if picture is not None:
            self._show_picture(picture)
        if message is None and not self.client.alive:
            self._scene.keep_only(())
        if self._shows_words:
            self._show_words()
        if self._playing is not None and self._playing.update(self._eye()):
            self._visualizer.update_geometry(self._playing.bar.mesh)
        before = time.monotonic()
        # Drawing is in poll_events, and only where something has changed.
        if not self._visualizer.poll_events():
            self._running = False
        self._follow_size()
        if message is not None:
            self.watch.shown(message)
            self._drawing += 0.1 * (time.monotonic() - before - self._drawing)
            self._next_show = before + (_SHORTEST if self._drawing < _SLOW else _SHORTEST_IF_SLOW)
        return self._running

    def close(self) -> None:
        """Close the window."""
        self._visualizer.destroy_window()

    def stop(self) -> None:
        """Make the next `step` return False."""
        self._running = False

    def switch_view(self) -> None:
        """Switch between the view through the camera and the view from anywhere."""
        self.view = "free" if self.view == "camera" else "camera"
        self.reset_view()

    def switch_look(self) -> None:
        """Switch between mesh, wireframe and skeleton."""
        self.look = LOOKS[(LOOKS.index(self.look) + 1) % len(LOOKS)]
        if self._result is not None and self._scene.has_hands:
            self._scene.show(self._result.hands, self._model, self.look)
        self._visualizer.update_renderer()

    def switch_mirror(self) -> None:
        """Switch between the scene as it is and as in a mirror."""
        self.mirror = not self.mirror
        self._given_model = None  # its faces are wound anew
        if self._given is not None:
            self._show(self._given)
            if not self.client.alive:
                self._scene.keep_only(())
        if self._given_picture is not None:
            self._show_picture(self._given_picture)
        self._visualizer.update_renderer()

    def reset_view(self) -> None:
        """Look through the camera, or from above its right shoulder."""
        control = self._visualizer.get_view_control()
        for aid in (self._grid, self._frustum):  # in the way of a view through the camera
            if aid is not None:
                self._scene.remove(aid)
                # No ground runs over the picture.
                if self.view == "free" and (aid is not self._grid or self._picture is None):
                    self._scene.add(aid)
        control.set_constant_z_near(0.01)
        control.set_constant_z_far(20.0)
        parameters = o3d.camera.PinholeCameraParameters()
        parameters.intrinsic = filling_camera(self._frame if self.view == "camera" else None, self._size)
        parameters.extrinsic = np.eye(4) if self.view == "camera" else look_at(FREE_VIEW_EYE, MIDDLE)
        control.convert_from_pinhole_camera_parameters(parameters, allow_arbitrary=True)
        self._visualizer.update_renderer()

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as a PNG file."""
        self._visualizer.capture_screen_image(path, do_render=True)

    def _take_screenshot(self) -> None:
        path = self._screenshots / time.strftime("hamba-%Y%m%d-%H%M%S.png")
        self.screenshot(path)
        self._say(f"wrote {path}")

    def _follow_size(self) -> None:
        """Fit the view through the camera to the window, whatever size the person gives it."""
        seen = self._eye().intrinsic
        if (seen.width, seen.height) != self._size:
            self._size = (seen.width, seen.height)
            if self.view == "camera":
                self.reset_view()

    def _show(self, result: FrameResult) -> None:
        self._given, self._result = result, reflected_result(result) if self.mirror else result
        result, model = self._result, self.client.model
        if model is not None and model.topology is not self._given_model:
            self._given_model = model.topology
            self._model = reflected_topology(model.topology) if self.mirror else model.topology
            self._scene.keep_only(())
        if other_camera(self._frame, result.frame):
            self._frame = result.frame
            self._replace_camera(result.frame)
        self._scene.keep_only(hand.track_id for hand in result.hands)
        self._scene.show(result.hands, self._model, self.look)
        self._visualizer.update_renderer()

    def _replace_camera(self, frame: FrameMeta) -> None:
        if self._frustum is not None:
            self._scene.remove(self._frustum)
        self._frustum = lines(*camera_frustum(frame.camera, frame.width, frame.height), CAMERA_COLOR)
        if self._picture is not None:
            self._scene.remove(self._picture.mesh)
            self._picture = None
        if self.view == "camera":
            self.reset_view()
        else:
            self._scene.add(self._frustum)

    def _show_picture(self, message: ImageMessage) -> None:
        import cv2

        decoded = cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        if decoded is None:
            return
        self._given_picture, image = message, np.asarray(decoded, np.uint8)
        frame = reflected_frame(message.frame) if self.mirror else message.frame
        picture = self._picture or HungPicture(frame)
        picture.show(reflected_picture(image) if self.mirror else image)
        if self._picture is None:
            self._picture = picture
            self._scene.add(picture.mesh)
            self._scene.remove(self._grid)
        else:
            self._visualizer.update_geometry(picture.mesh)
        self._visualizer.update_renderer()


def _key(action: Callable[[], None]) -> Callable[[Any], bool]:
    def pressed(_: Any) -> bool:
        action()
        return True

    return pressed
