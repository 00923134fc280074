"""The words in the corner of the window: numbers and, if asked for, what the keys do."""

import time
from collections.abc import Sequence
from typing import Any, Final

from stages.packets import Hand
from viewers.watch import Watch
from viewers.window.panel import TextPanel

HELP: Final = """keys    H this help      V through the camera / from anywhere    M mesh / wireframe / skeleton
        S screenshot     R reset the view       F as in a mirror         Q or Esc quit
        of a recording: space pause    left, right 5 s back, on    Home, End    or drag the bar
mouse   drag to turn, Shift-drag or wheel button to move, wheel to zoom"""

_EVERY: Final = 0.25  # s


class Words:
    """Numbers and help. `panel` shows them."""

    def __init__(self) -> None:
        self.panel = TextPanel()
        self._helping = False
        self._lines: list[str] = []
        self._next = 0.0

    def switch_help(self) -> bool:
        """Show what the keys do, or hide it again; return whether it is shown now."""
        self._helping, self._next = not self._helping, 0.0
        return self._helping

    def update(self, watch: Watch, hands: Sequence[Hand], parameters: Any) -> bool:
        """Bring them up to date in the view of Open3D's camera `parameters`; return whether anything has changed."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            numbers = watch.numbers()
            sides = ", ".join(f"{hand.side} {hand.track_id}" for hand in hands) if numbers.hands else ""
            latency = "" if numbers.latency is None else f"  {numbers.latency:.0f} ms"
            running = f"{numbers.rate:.0f} frames/s{latency}  {sides or 'no hands'}  H: help"
            self._lines = [running if numbers.state == "running" else numbers.words]
            self._lines += [line.strip() for line in HELP.splitlines()] if self._helping else []
        return self.panel.update(self._lines, parameters)
