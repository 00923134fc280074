"""The live viewer: a window with the hands that a pipeline publishes, in 3D (Open3D).

Two views: through the camera, over its picture where pictures are published, and from anywhere. A person at the window
presses H for help.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from hamba_core.camera import Intrinsics
from hamba_core.errors import DeviceError
from stages.packets import FrameMeta, FrameResult, Hand, HandTopology
from stages.wire import ImageMessage
from viewers.client import HandClient
from viewers.scene import BONE_PAIRS, camera_frustum, ground_grid, hand_color, picture_corners

View = Literal["camera", "free"]
Look = Literal["mesh", "wireframe", "skeleton"]
LOOKS: tuple[Look, ...] = ("mesh", "wireframe", "skeleton")

HELP = """keys: H this help   V through the camera / from anywhere   M mesh / wireframe / skeleton
      S screenshot   R reset the view   Q or Esc quit          mouse: turn, Shift or wheel button: move, wheel: zoom"""

_PICTURE_DEPTH = 1.5  # m; behind any hand within reach
_BACKGROUND = (0.11, 0.12, 0.14)
_LINE_COLOR = (0.32, 0.34, 0.38)
_FRUSTUM_COLOR = (0.75, 0.72, 0.4)


@dataclass
class _HandGeometry:
    """What stands in the scene for one track."""

    mesh: Any
    bones: Any
    joints: Any
    shown: tuple[Any, ...] = ()


class HandWindow:
    """A window that follows a `HandClient`. Call `step` in a loop from the thread that made it; `close` at the end.

    Raises DeviceError where no window can be opened.
    """

    def __init__(self, client: HandClient, *, width: int = 800, height: int = 600, screenshots: Path = Path()) -> None:
        self.client = client
        self.frames = 0  # hands messages shown
        self.view: View = "camera"
        self.look: Look = "mesh"
        self._screenshots = screenshots
        self._size = (width, height)
        self._hands: dict[int, _HandGeometry] = {}
        self._model: HandTopology | None = None
        self._frame: FrameMeta | None = None
        self._frustum: Any = None
        self._picture: Any = None
        self._picture_shown = False
        self._picture_message: ImageMessage | None = None
        self._running = True
        self._visualizer = o3d.visualization.VisualizerWithKeyCallback()
        if not self._visualizer.create_window("Hamba", width, height):
            raise DeviceError(
                "cannot open a window: expected a screen with OpenGL, found none. On a machine without a screen, "
                "use `hamba web`"
            )
        options = self._visualizer.get_render_option()
        options.background_color = np.array(_BACKGROUND)
        # The stubs that Open3D ships do not know the values of its enumerations.
        options.mesh_shade_option = getattr(o3d.visualization.MeshShadeOption, "Smooth")  # noqa: B009
        options.mesh_show_back_face = True
        options.point_size = 7.0
        options.line_width = 3.0
        self._options = options
        self._grid = _lines(*ground_grid(), _LINE_COLOR)
        self._add(self._grid)
        for key, action in self._actions().items():
            self._visualizer.register_key_callback(key, _key(action))
        self.reset_view()

    def _actions(self) -> dict[int, Callable[[], None]]:
        return {
            ord("V"): self.switch_view,
            ord("M"): self.switch_look,
            ord("R"): self.reset_view,
            ord("S"): lambda: self._screenshot_named_by_time(),
            ord("Q"): self.stop,
            256: self.stop,  # Esc
        }

    def step(self) -> bool:
        """Show what is newest and let the window work; False once it was closed."""
        # Waiting for hands is bounded so that the window stays quick under the mouse.
        message = self.client.latest(timeout=0.01)
        if message is not None:
            self.frames += 1
            self._show(message.result)
        elif self._hands and not self.client.alive:
            self._keep_only(())
        if self.client.image is not self._picture_message and self.client.image is not None:
            self._show_picture(self.client.image)
        if not self._visualizer.poll_events():
            self._running = False
        self._visualizer.update_renderer()
        return self._running

    def close(self) -> None:
        """Close the window."""
        self._visualizer.destroy_window()

    def stop(self) -> None:
        """Make the next `step` return False."""
        self._running = False

    def switch_view(self) -> None:
        """Through the camera, or from anywhere."""
        self.view = "free" if self.view == "camera" else "camera"
        self.reset_view()

    def switch_look(self) -> None:
        """Mesh, wireframe, skeleton."""
        self.look = LOOKS[(LOOKS.index(self.look) + 1) % len(LOOKS)]
        self._options.mesh_show_wireframe = self.look == "wireframe"
        for geometry in self._hands.values():
            self._place(geometry)

    def reset_view(self) -> None:
        """Look through the camera, or from above its right shoulder."""
        control = self._visualizer.get_view_control()
        if self.view == "camera":
            self._show_grid(False)
            control.convert_from_pinhole_camera_parameters(self._window_camera(), allow_arbitrary=True)
        else:
            self._show_grid(True)
            control.set_constant_z_near(0.01)
            control.set_lookat((0.0, 0.05, 0.5))
            control.set_front((0.45, -0.45, -0.8))
            control.set_up((0.0, -1.0, 0.0))
            control.set_zoom(0.35)

    def screenshot(self, path: Path) -> None:
        """Write what the window shows."""
        self._visualizer.capture_screen_image(path, do_render=True)

    def _screenshot_named_by_time(self) -> None:
        self.screenshot(self._screenshots / time.strftime("hamba-%Y%m%d-%H%M%S.png"))

    def _window_camera(self) -> Any:
        """The camera that fills the window as far as the picture's shape allows."""
        window_width, window_height = self._size
        frame = self._frame
        camera = frame.camera if frame else Intrinsics.estimate(window_width, window_height)
        width, height = (frame.width, frame.height) if frame else self._size
        scale = min(window_width / width, window_height / height)
        left, top = (window_width - width * scale) / 2, (window_height - height * scale) / 2
        parameters = o3d.camera.PinholeCameraParameters()
        # Open3D takes (0, 0) as the middle of the first pixel.
        parameters.intrinsic = o3d.camera.PinholeCameraIntrinsic(
            window_width,
            window_height,
            camera.fx * scale,
            camera.fy * scale,
            camera.cx * scale + left - 0.5,
            camera.cy * scale + top - 0.5,
        )
        parameters.extrinsic = np.eye(4)
        return parameters

    def _show(self, result: FrameResult) -> None:
        model = self.client.model
        if model is not None and model.topology is not self._model:
            self._model = model.topology
            self._keep_only(())
        if self._frame is None or _looks_differently(self._frame, result.frame):
            self._frame = result.frame
            self._replace_frustum(result.frame)
            if self.view == "camera":
                self.reset_view()
        self._keep_only(tuple(hand.track_id for hand in result.hands))
        for hand in result.hands:
            self._show_hand(hand)

    def _show_hand(self, hand: Hand) -> None:
        geometry = self._hands.get(hand.track_id)
        if geometry is None:
            geometry = _HandGeometry(o3d.geometry.TriangleMesh(), o3d.geometry.LineSet(), o3d.geometry.PointCloud())
            self._hands[hand.track_id] = geometry
        color = hand_color(hand.side, hand.track_id)
        model = self._model
        if model is not None and len(hand.vertices) == model.vertices:
            geometry.mesh.vertices = _points(hand.vertices)
            geometry.mesh.triangles = o3d.utility.Vector3iVector(model.faces_of(hand.side))
            geometry.mesh.paint_uniform_color(color)
            geometry.mesh.compute_vertex_normals()
        joints = _points(hand.joints)
        geometry.bones.points, geometry.joints.points = joints, joints
        geometry.bones.lines = o3d.utility.Vector2iVector(BONE_PAIRS)
        geometry.bones.paint_uniform_color(color)
        geometry.joints.paint_uniform_color((0.95, 0.95, 0.95))
        if geometry.shown:
            for part in geometry.shown:
                self._visualizer.update_geometry(part)
        else:
            self._place(geometry)

    def _place(self, geometry: _HandGeometry) -> None:
        """Put into the scene what the look asks for."""
        for part in geometry.shown:
            self._remove(part)
        has_mesh = len(geometry.mesh.vertices) > 0
        # A message without vertices still has its joints to show.
        geometry.shown = (
            (geometry.bones, geometry.joints) if self.look == "skeleton" or not has_mesh else (geometry.mesh,)
        )
        for part in geometry.shown:
            self._add(part)

    def _keep_only(self, track_ids: tuple[int, ...]) -> None:
        for track_id in self._hands.keys() - set(track_ids):
            for part in self._hands.pop(track_id).shown:
                self._remove(part)

    def _replace_frustum(self, frame: FrameMeta) -> None:
        if self._frustum is not None:
            self._remove(self._frustum)
        self._frustum = _lines(*camera_frustum(frame.camera, frame.width, frame.height), _FRUSTUM_COLOR)
        if self.view == "free":
            self._add(self._frustum)
        if self._picture_shown:
            self._remove(self._picture)
            self._picture_shown = False

    def _show_grid(self, shown: bool) -> None:
        """The ground and the camera itself are in the way of a view through the camera."""
        for geometry in (self._grid, self._frustum):
            if geometry is not None:
                self._remove(geometry)
                if shown:
                    self._add(geometry)

    def _show_picture(self, message: ImageMessage) -> None:
        import cv2

        self._picture_message = message
        decoded: Any = cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        if decoded is None:
            return
        if self._picture is None or not self._picture_shown:
            self._picture = _hung_picture(message.frame)
        self._picture.textures = [o3d.geometry.Image(decoded)]
        if self._picture_shown:
            self._visualizer.update_geometry(self._picture)
        else:
            self._add(self._picture)
            self._picture_shown = True

    def _add(self, geometry: Any) -> None:
        self._visualizer.add_geometry(geometry, reset_bounding_box=False)

    def _remove(self, geometry: Any) -> None:
        self._visualizer.remove_geometry(geometry, reset_bounding_box=False)


def _key(action: Callable[[], None]) -> Callable[[Any], bool]:
    def pressed(_: Any) -> bool:
        action()
        return True

    return pressed


def _points(array: NDArray[np.floating]) -> Any:
    return o3d.utility.Vector3dVector(np.asarray(array, np.float64))


def _lines(points: NDArray[np.float64], pairs: NDArray[np.int64], color: tuple[float, float, float]) -> Any:
    lines = o3d.geometry.LineSet(_points(points), o3d.utility.Vector2iVector(pairs))
    lines.paint_uniform_color(color)
    return lines


def _looks_differently(before: FrameMeta, now: FrameMeta) -> bool:
    return (before.width, before.height, before.camera) != (now.width, now.height, now.camera)


def _hung_picture(frame: FrameMeta) -> Any:
    """A rectangle that takes the picture as its texture, behind the hands."""
    corners = picture_corners(frame.camera, frame.width, frame.height, _PICTURE_DEPTH)
    mesh = o3d.geometry.TriangleMesh(_points(corners), o3d.utility.Vector3iVector(np.array([[0, 2, 1], [0, 3, 2]])))
    mesh.triangle_uvs = o3d.utility.Vector2dVector(
        np.array([[0, 0], [1, 1], [1, 0], [0, 0], [0, 1], [1, 1]], np.float64)
    )
    mesh.triangle_material_ids = o3d.utility.IntVector([0, 0])
    mesh.vertex_normals = _points(np.tile([0.0, 0.0, -1.0], (4, 1)))
    return mesh
