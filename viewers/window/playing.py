"""What a person does in the window with a recording: keys, and a seek bar that is dragged with the mouse."""

from collections.abc import Callable
from typing import Any, Final

from viewers.player import Player
from viewers.window.panel import SeekBar

JUMP: Final = 5.0
"""Seconds that the arrow keys go back and on."""

_RIGHT, _LEFT, _HOME, _END = 262, 263, 268, 269  # GLFW's keys
_PRESS: Final = 1
_LEFT_BUTTON, _WHEEL_BUTTON = 0, 2
_SHIFT, _CONTROL = 1, 2  # GLFW's modifiers


class Playing:
    """The keys, the bar and the mouse of a recording that is played. `say` is told what a key did."""

    def __init__(self, player: Player, say: Callable[[str], None]) -> None:
        self.player, self._say = player, say
        self.bar = SeekBar()
        self._mouse = (0.0, 0.0)
        self._drags: str | None = None  # what the mouse drags: the bar, or the view, which it turns or moves

    def actions(self) -> dict[int, Callable[[], None]]:
        """Return what keys do."""
        player = self.player
        return {
            ord(" "): lambda: self._say("paused" if player.pause() else "playing"),
            _LEFT: lambda: player.jump(-JUMP),
            _RIGHT: lambda: player.jump(JUMP),
            _HOME: lambda: player.seek(0.0),
            _END: lambda: player.seek(player.duration),
        }

    def update(self, parameters: Any) -> bool:
        """Bring the bar up to date in the view of Open3D's camera `parameters`; return whether it has changed."""
        return self.bar.update(self.player.place, self.player.duration, parameters, paused=self.player.paused)

    def listen(self, visualizer: Any) -> None:
        """Take the mouse of this window over. Open3D's own answers to it, but for the wheel, are then ours to give."""
        visualizer.register_mouse_button_callback(self._button)
        visualizer.register_mouse_move_callback(self._move)

    def _button(self, visualizer: Any, button: int, action: int, modifiers: int) -> bool:
        if action != _PRESS:
            self._drags = None
        elif button == _LEFT_BUTTON and self.bar.is_at(*self._mouse):
            self._drags = "bar"
            self._seek()
        elif button == _WHEEL_BUTTON or (button == _LEFT_BUTTON and modifiers & (_SHIFT | _CONTROL)):
            self._drags = "move"
        elif button == _LEFT_BUTTON:
            self._drags = "turn"
        return False

    def _move(self, visualizer: Any, x: float, y: float) -> bool:
        before, self._mouse = self._mouse, (x, y)
        step = x - before[0], y - before[1]
        if self._drags == "bar":
            self._seek()
        elif self._drags is not None:
            control = visualizer.get_view_control()
            (control.rotate if self._drags == "turn" else control.translate)(*step, *before)
        return False

    def _seek(self) -> None:
        self.player.seek(self.bar.share_at(self._mouse[0]) * self.player.duration)
