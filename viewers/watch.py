"""What a person at a viewer is told in words and numbers: who publishes, how fast, how late."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from viewers.client import HandClient, State

_SPAN = 1.0  # seconds that rate and latency are of


@dataclass(frozen=True)
class Numbers:
    """A moment of a viewer."""

    state: State
    words: str  # the state in a few words
    rate: float  # frames shown a second
    latency: float | None  # ms from capture to the screen, median; none where unknown
    hands: int  # shown now
    lost: int  # messages that never came

    def line(self) -> str:
        """All of it in one line."""
        if self.state != "running":
            return self.words
        hands = f"{self.hands} hand{'' if self.hands == 1 else 's'}"
        latency = "latency unknown" if self.latency is None else f"latency {self.latency:.0f} ms"
        return f"{self.words}  {self.rate:.1f} frames/s  {latency}  {hands}  {self.lost} lost"


class Watch:
    """Keeps the numbers of a viewer. `now` gives seconds."""

    def __init__(self, client: HandClient, *, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._now = now
        self._shown: deque[tuple[float, float | None]] = deque()  # when, and how late

    def shown(self) -> None:
        """Say that the client's newest hands have just been put on the screen."""
        self._shown.append((self._now(), self._client.age))

    def numbers(self) -> Numbers:
        """The numbers of the last second."""
        now, client = self._now(), self._client
        while self._shown and self._shown[0][0] < now - _SPAN:
            self._shown.popleft()
        ages = [age for _, age in self._shown if age is not None]
        state = client.state
        return Numbers(
            state=state,
            words=self._words(state),
            rate=len(self._shown) / _SPAN,
            latency=median(ages) * 1000 if ages else None,
            hands=len(client.newest.result.hands) if client.newest is not None and state == "running" else 0,
            lost=client.lost,
        )

    def _words(self, state: State) -> str:
        match state:
            case "waiting":
                return f"waiting for a publisher at {self._client.address}"
            case "gone":
                return f"gone without a word, waiting for it to come back at {self._client.address}"
            case "running":
                return "running"
        reason = self._client.status.status.reason if self._client.status else ""
        return f"{state}{f' ({reason})' if reason else ''}, waiting for the next at {self._client.address}"
