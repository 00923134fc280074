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
from typing import Any, Protocol

import numpy as np

from hamba_core.errors import OutputError
from hamba_core.packages import needed_for
from stages.common.palette import HandColours
from stages.packets import FrameMeta, FrameResult, HandTopology
from stages.wire import ImageMessage
from viewers.client import HandClient
from viewers.player import Player
from viewers.reflection import reflected_frame, reflected_picture, reflected_result, reflected_topology
from viewers.scene import (
    CAMERA_COLOR,
    FREE_VIEW_EYE,
    FRUSTUM_DEPTH,
    GRID_COLOR,
    LOOKS,
    MIDDLE,
    PICTURE_DEPTH,
    Look,
    camera_frustum,
    ground_grid,
    other_camera,
    picture_corners,
)
from viewers.watch import Following, Watch
from viewers.web.guard import Guard, guarding
from viewers.web.seeking import SeekBar
from viewers.web.shapes import HandShapes

with needed_for("the browser viewer"):
    import viser

_SHORTEST = 1 / 40  # seconds between two frames, so that a phone keeps up
_NUMBERS_EVERY = 0.25  # seconds


class Companion(Protocol):
    """It shows more on the page than hands, as the robots that follow them."""

    def open(self, server: "viser.ViserServer") -> None:
        """Put what it shows on the page."""

    def show(self, result: FrameResult, *, mirrored: bool) -> None:
        """Go on to these hands, which the page shows as in a mirror or as they are."""


class HandPage:
    """Serves a page that follows a `HandClient`. Call `step` in a loop; `close` at the end.

    `companion` shows more beside the hands. `player` is what plays the recording that is shown, if it is one. `mirror`
    shows all as in a mirror, until a visitor wants it otherwise.
    `allow_origins` and `token` are explained at `viewers.web.guard.Guard`. Raises OutputError if the port is taken,
    ConfigurationError for an invalid origin.
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
        mirror: bool = False,
        companion: Companion | None = None,
    ) -> None:
        self.client = client
        self._mirror = mirror
        self._companion = companion
        self._player = player
        self.watch = Watch(client)
        self._following = Following(client)
        self._hands: dict[int, HandShapes] = {}
        self._colors = HandColours()
        self._given_model: HandTopology | None = None
        self._model: HandTopology | None = None
        self._frame: FrameMeta | None = None
        self._result: FrameResult | None = None  # as it came
        self._shown_picture: ImageMessage | None = None
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
        if companion is not None:
            companion.open(self._server)

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
        self._seek_bar = SeekBar(server, self._player) if self._player is not None else None
        with server.gui.add_folder("more", expand_by_default=False):
            # What programs may choose too, as a person does.
            self.mirror_choice = server.gui.add_checkbox("as in a mirror", initial_value=self._mirror)
            self.look_choice = server.gui.add_dropdown("hands", LOOKS, initial_value="mesh")
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
            if (self.look_choice.value, self.mirror_choice.value) != (self._look, self._mirror):
                self._switch()
            if message is not None:
                self._next_show = time.monotonic() + _SHORTEST
                self._show(message.result)
                if self._companion is not None:
                    self._companion.show(message.result, mirrored=self._mirror)
                self.watch.shown(message)
            elif self._hands and not self.client.alive:
                self._keep_only(())
            if picture is not None:
                self._show_picture(picture)
        if time.monotonic() >= self._next_numbers:
            self._next_numbers = time.monotonic() + _NUMBERS_EVERY
            self._numbers.content, self._publisher.content = self._line(), self._table()
            if self._seek_bar is not None:
                self._seek_bar.update()

    def _switch(self) -> None:
        """Show what is there in the look that is chosen, and as in a mirror or not."""
        self._look = self.look_choice.value
        if self._mirror != self.mirror_choice.value:
            self._mirror, self._given_model = self.mirror_choice.value, None  # its faces are wound anew
        if self._result is not None and self._hands:
            self._show(self._result)
            if self._shown_picture is not None:
                self._show_picture(self._shown_picture)

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
        self._result, model = result, self.client.model
        if self._mirror:
            result = reflected_result(result)
        if model is not None and model.topology is not self._given_model:
            self._given_model = model.topology
            self._model = reflected_topology(model.topology) if self._mirror else model.topology
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
                shapes = self._hands[hand.track_id] = HandShapes(self._server, hand, self._model, color)
            shapes.update(hand, self._look)

    def _keep_only(self, track_ids: tuple[int, ...]) -> None:
        for track_id in self._hands.keys() - set(track_ids):
            self._hands.pop(track_id).remove()

    def _show_picture(self, message: ImageMessage) -> None:
        import cv2

        decoded = cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        if decoded is None:
            return
        self._shown_picture, image = message, np.asarray(decoded, np.uint8)
        if self._mirror:
            image = reflected_picture(image)
        if self._picture is None:
            frame = reflected_frame(message.frame) if self._mirror else message.frame
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


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """Return False for the log records of spare connections of browsers, which hang up without asking anything."""
    return record.msg != "opening handshake failed"


def _silence() -> AbstractContextManager[object]:
    """Keep viser from printing what only programmers who use it want to know."""
    return redirect_stdout(io.StringIO())
