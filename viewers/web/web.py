"""The web viewer shows the hands that a pipeline publishes on a page in a browser, in 3D (viser).

The page's world is the camera frame, with the camera's -y up. A browser that opens it later sees the whole scene.
"""

import io
import logging
import socket
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, redirect_stdout
from html import escape
from typing import Any

import numpy as np

from hamba_core.errors import DependencyError, OutputError
from hamba_core.hand import close_holes
from stages.common.palette import Colour, HandColours
from stages.packets import FrameMeta, FrameResult, Hand, HandTopology
from stages.wire import ImageMessage
from viewers.client import HandClient
from viewers.player import Player
from viewers.scene import (
    BONE_FACES,
    CAMERA_COLOR,
    FREE_VIEW_EYE,
    FRUSTUM_DEPTH,
    GRID_COLOR,
    JOINT_COLOR_ROWS,
    LOOKS,
    MIDDLE,
    PICTURE_DEPTH,
    Look,
    bone_tubes,
    camera_frustum,
    ground_grid,
    other_camera,
    picture_corners,
)
from viewers.watch import Following, Watch
from viewers.web.guard import Guard, guarding

try:
    import viser
except ImportError as error:
    raise DependencyError(
        f"the browser viewer needs viser, found: {error}; install it with: pip install 'hamba-stream[web]'"
    ) from error

_SHORTEST = 1 / 40  # seconds between two frames, so that a phone keeps up
_NUMBERS_EVERY = 0.25  # seconds


class HandPage:
    """Serves a page that follows a `HandClient`. Call `step` in a loop; `close` at the end.

    `player` is what plays the recording that is shown, if it is one. `allow_origins` and `token` are explained at
    `viewers.web.guard.Guard`. Raises OutputError if the port is taken, ConfigurationError for an invalid origin.
    """

    def __init__(
        self,
        client: HandClient,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        allow_origins: Sequence[str] = (),
        token: str | None = None,
        player: Player | None = None,
    ) -> None:
        self.client = client
        self._player = player
        self.watch = Watch(client)
        self._following = Following(client)
        self._hands: dict[int, _HandShapes] = {}
        self._colors = HandColours()
        self._model: HandTopology | None = None
        self._frame: FrameMeta | None = None
        self._result: FrameResult | None = None
        self._look: Look = "mesh"
        self._picture: Any = None
        self._next_show = self._next_numbers = 0.0
        try:
            # viser would silently take the next free port, and wait for ever for an address of another machine.
            socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
        except OSError as error:
            raise OutputError(
                f"cannot serve a page on {host}:{port}: expected a free address of this machine, "
                f"found: {error.strerror or error}; name another with --host or --port"
            ) from error
        logging.getLogger("websockets.server").addFilter(_is_worth_telling)
        with _silence(), guarding(Guard(host, allow_origins, token)):
            self._server = viser.ViserServer(host=host, port=port, label="Hamba", verbose=False)
        # Any visitor can ask viser for a public address of this page, through its makers' server.
        self._server.request_share_url = lambda verbose=True: None  # type: ignore[method-assign]
        address = f"http://{f'[{host}]' if ':' in host else host}:{self._server.get_port()}"
        self.address = f"{address}/?token={token}" if token else address
        self._build_scene()

    def _build_scene(self) -> None:
        server = self._server
        server.gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False, control_layout="floating")
        server.scene.set_up_direction("-y")
        server.initial_camera.position = FREE_VIEW_EYE
        server.initial_camera.look_at = MIDDLE
        server.initial_camera.fov = np.radians(50)
        ends, pairs = ground_grid()
        self._ground = server.scene.add_line_segments("/ground", ends[pairs], GRID_COLOR, thickness=0.0015)
        # Two lines high, so that the hands have the page to themselves; a narrow one too.
        self._numbers = server.gui.add_html("")
        view = server.gui.add_button_group("view", ("camera", "free"))
        if (player := self._player) is not None:
            play = server.gui.add_button_group("recording", ("play / pause", "5 s back", "5 s on"))

            @play.on_click
            def _(event: Any) -> None:
                if event.target.value == "play / pause":
                    player.pause()
                else:
                    player.jump(5.0 if event.target.value == "5 s on" else -5.0)

        with server.gui.add_folder("more", expand_by_default=False):
            self._look_choice = server.gui.add_dropdown("hands", LOOKS, initial_value="mesh")
            self._publisher = server.gui.add_html("")

        @view.on_click
        def _(event: Any) -> None:
            if event.client is not None:
                self._set_view(event.client.camera, event.target.value)

    def _set_view(self, camera: Any, view: str) -> None:
        """Point the camera of the browser that asked, and of no other."""
        frame = self._frame
        through = view == "camera" and frame is not None
        camera.near = FRUSTUM_DEPTH + 0.005 if through else 0.01  # the frustum's own lines would frame the page
        camera.up_direction = (0.0, -1.0, 0.0)
        camera.position = (0.0, 0.0, 0.0) if through else FREE_VIEW_EYE
        camera.look_at = (0.0, 0.0, MIDDLE[2]) if through else MIDDLE
        if through and frame is not None:
            # The whole picture fits into the page, whichever of the two is wider.
            tangent = max(frame.height / 2 / frame.camera.fy, frame.width / 2 / frame.camera.fx / camera.aspect)
            camera.fov = 2 * np.arctan(tangent)
        else:
            camera.fov = np.radians(50)

    def step(self) -> None:
        """Show what is newest. It waits at most 50 ms for news."""
        early = self._next_show - time.monotonic()
        if early > 0:
            time.sleep(early)
        message, picture = self._following.next(timeout=0.05)
        with self._server.atomic():
            if self._look_choice.value != self._look:
                self._look = self._look_choice.value
                if self._result is not None and self._hands:
                    self._show(self._result)
            if message is not None:
                self._next_show = time.monotonic() + _SHORTEST
                self._show(message.result)
                self.watch.shown(message)
            elif self._hands and not self.client.alive:
                self._keep_only(())
            if picture is not None:
                self._show_picture(picture)
        if time.monotonic() >= self._next_numbers:
            self._next_numbers = time.monotonic() + _NUMBERS_EVERY
            self._numbers.content, self._publisher.content = self._line(), self._table()

    def close(self) -> None:
        """Stop serving."""
        with _silence():
            self._server.stop()

    def _line(self) -> str:
        """Return the line of numbers that matter to a person who looks: frames a second, how late, which hands."""
        numbers = self.watch.numbers()
        if numbers.state != "running":
            return f"<div style='margin: 0.3em 0.8em'>{escape(numbers.words)}</div>"
        latency = "?" if numbers.latency is None else f"{numbers.latency:.0f}"
        hands = self._result.hands if self._result is not None and numbers.hands else ()
        sides = ", ".join(f"{hand.side} {hand.track_id}" for hand in hands) or "no hands"
        words = f"{numbers.rate:.0f} frames/s, {latency} ms late: {sides}"
        return f"<div style='margin: 0.3em 0.8em'>{escape(words)}</div>"

    def _table(self) -> str:
        numbers = self.watch.numbers()
        rows = {"publisher": numbers.words, "address": self.client.address, "lost": numbers.lost}
        # What a publisher says is text, whatever is in it.
        cells = (f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
        return f"<table style='margin: 0.5em; border-spacing: 0.5em 0'>{''.join(cells)}</table>"

    def _show(self, result: FrameResult) -> None:
        self._result = result
        model = self.client.model
        if model is not None and model.topology is not self._model:
            self._model = model.topology
            self._keep_only(())
        if other_camera(self._frame, result.frame):
            self._frame = frame = result.frame
            ends, pairs = camera_frustum(frame.camera, frame.width, frame.height)
            self._server.scene.add_line_segments("/camera", ends[pairs], CAMERA_COLOR, thickness=0.0015)
            self._drop_picture()
        self._keep_only(tuple(hand.track_id for hand in result.hands))
        for hand, color in zip(result.hands, self._colors.of(result.hands), strict=True):
            shapes = self._hands.get(hand.track_id)
            if shapes is None or not shapes.fits(hand, color):
                if shapes is not None:
                    shapes.remove()
                shapes = self._hands[hand.track_id] = _HandShapes(self._server, hand, self._model, color)
            shapes.update(hand, self._look)

    def _keep_only(self, track_ids: tuple[int, ...]) -> None:
        for track_id in self._hands.keys() - set(track_ids):
            self._hands.pop(track_id).remove()

    def _show_picture(self, message: ImageMessage) -> None:
        import cv2

        decoded = cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        if decoded is None:
            return
        image = np.asarray(decoded, np.uint8)
        if self._picture is None:
            frame = message.frame
            corners = picture_corners(frame.camera, frame.width, frame.height, PICTURE_DEPTH)
            width, height = (corners[2] - corners[0])[:2]
            self._picture = self._server.scene.add_image(
                "/picture", image, width, height, format="jpeg", jpeg_quality=80, position=corners.mean(0),
                cast_shadow=False, receive_shadow=False,
            )  # fmt: skip
        else:
            self._picture.image = image
        self._ground.visible = False  # it would run across the picture

    def _drop_picture(self) -> None:
        self._ground.visible = True
        if self._picture is not None:
            self._picture.remove()
            self._picture = None


class _HandShapes:
    """What the page has of one track: mesh, bones and joints, of which the look shows some."""

    def __init__(self, server: "viser.ViserServer", hand: Hand, model: HandTopology | None, color: Colour) -> None:
        if model is None or len(hand.vertices) != model.vertices:
            model = None
        self._fits = (hand.side, len(hand.vertices), color)
        name, scene = f"/hands/{hand.track_id}", server.scene
        self._mesh = None
        if model is not None:
            faces = close_holes(model.faces_of(hand.side))
            self._mesh = scene.add_mesh_simple(f"{name}/mesh", hand.vertices, faces, color=color)
        self._bones = scene.add_mesh_simple(f"{name}/bones", bone_tubes(hand.joints), BONE_FACES, color=color)
        self._joints = scene.add_point_cloud(
            f"{name}/joints", hand.joints, JOINT_COLOR_ROWS,
            point_size=0.007, point_shape="circle", precision="float32",
        )  # fmt: skip

    def fits(self, hand: Hand, color: Colour) -> bool:
        """Return whether `update` can take this hand."""
        return self._fits == (hand.side, len(hand.vertices), color)

    def update(self, hand: Hand, look: Look) -> None:
        """Take the hand's shape. A hand that came without vertices is a skeleton in every look."""
        skeleton = look == "skeleton" or self._mesh is None
        self._bones.visible = self._joints.visible = skeleton
        if skeleton:
            self._bones.vertices = np.asarray(bone_tubes(hand.joints), np.float32)
            self._joints.points = hand.joints
        if self._mesh is not None:
            self._mesh.visible = not skeleton
            self._mesh.wireframe = look == "wireframe"
            if not skeleton:
                self._mesh.vertices = hand.vertices

    def remove(self) -> None:
        """Take the hand from the page."""
        for shape in (self._mesh, self._bones, self._joints):
            if shape is not None:
                shape.remove()


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """Return False for the log records of spare connections of browsers, which hang up without asking anything."""
    return record.msg != "opening handshake failed"


def _silence() -> AbstractContextManager[object]:
    """Keep viser from printing what only programmers who use it want to know."""
    return redirect_stdout(io.StringIO())
