"""What visitors of the page do with a recording: play, pause, go elsewhere."""

from typing import TYPE_CHECKING, Any

from viewers.player import Player

if TYPE_CHECKING:
    import viser


class SeekBar:
    """Buttons and a slider for a recording that is played; all visitors see the same."""

    def __init__(self, server: "viser.ViserServer", player: Player) -> None:
        self._player = player
        self._buttons = server.gui.add_button_group("recording", ("play / pause", "5 s back", "5 s on"))
        longest = max(player.duration, 0.1)
        self._slider: Any = server.gui.add_slider("seconds", 0.0, longest, 0.1, 0.0)

        @self._buttons.on_click
        def _(event: Any) -> None:
            if event.target.value == "play / pause":
                player.pause()
            else:
                player.jump(5.0 if event.target.value == "5 s on" else -5.0)

        self._shown = 0.0  # what we have put the slider to

    def update(self) -> None:
        """Go where a visitor has put the slider; otherwise put it where the player is.

        A callback would not do: it runs some time after the slider has moved, when it may have been put back.
        """
        if self._slider.value != self._shown:
            self._player.seek(float(self._slider.value))
        self._slider.value = self._shown = round(min(self._player.place, self._slider.max), 1)
