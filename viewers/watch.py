"""This module decides what a viewer shows next, and what it tells: who publishes, how fast, how late."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from hamba_core.text import counted
from stages.wire import HandsMessage, ImageMessage
from viewers.client import HandClient, State, age_of

_SPAN = 1.0  # seconds that rate and latency are of
_LOOK = 0.005  # seconds between looks for a picture
_PICTURES_EXPECTED = 3.0  # seconds in which a run that sends pictures has sent one
_PICTURES_FLOW = 0.5  # seconds without a picture after which none is waited for


class Next(NamedTuple):
    """What is to be shown now; None stands for what stays as it is."""

    hands: HandsMessage | None
    picture: ImageMessage | None


class Following:
    """It follows the newest hands or, if pictures come too, the newest picture and the hands of its own frame."""

    def __init__(self, client: HandClient) -> None:
        self._client = client
        self._picture: ImageMessage | None = None
        self._picture_time = -math.inf

    def next(self, timeout: float) -> Next:
        """Wait for news, at most so many seconds, and return what to show."""
        deadline, client, newest = time.monotonic() + timeout, self._client, None
        while True:
            now = time.monotonic()
            pictures = now - self._picture_time < _PICTURES_FLOW
            newest = client.latest(min(_LOOK, deadline - now) if pictures else deadline - now) or newest
            if client.image is not None and client.image is not self._picture:
                self._picture, self._picture_time = client.image, time.monotonic()
                return Next(client.pictured or newest, self._picture)
            if newest is not None and not pictures:
                return Next(newest, None)
            if time.monotonic() >= deadline:
                return Next(None, None)


@dataclass(frozen=True)
class Numbers:
    """The numbers of one moment of a viewer."""

    state: State
    words: str  # the state in a few words
    rate: float  # frames shown a second
    latency: float | None  # ms from capture to the screen, median; none where unknown
    hands: int  # shown now
    lost: int  # messages that never came

    def line(self) -> str:
        """Return all numbers in one line."""
        if self.state != "running":
            return self.words
        hands = f"{counted(self.hands, 'hand')}"
        latency = "latency unknown" if self.latency is None else f"latency {self.latency:.0f} ms"
        return f"{self.words}  {self.rate:.1f} frames/s  {latency}  {hands}  {self.lost} lost"


class Watch:
    """It keeps the numbers of a viewer. `now` gives seconds."""

    def __init__(self, client: HandClient, *, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._now = now
        self._shown: deque[tuple[float, float | None]] = deque()  # when, and how late
        self._without_since: float | None = None  # s

    def shown(self, message: HandsMessage) -> None:
        """Say that these hands have just been put on the screen."""
        self._shown.append((self._now(), age_of(message)))

    def numbers(self) -> Numbers:
        """Return the numbers of the last second."""
        now, client = self._now(), self._client
        while self._shown and self._shown[0][0] < now - _SPAN:
            self._shown.popleft()
        ages = [age for _, age in self._shown if age is not None]
        state = client.state
        return Numbers(
            state=state,
            words=self._state_line(state),
            rate=len(self._shown) / _SPAN,
            latency=median(ages) * 1000 if ages else None,
            hands=len(client.newest.result.hands) if client.newest is not None and state == "running" else 0,
            lost=client.lost,
        )

    def _about_pictures(self) -> str:
        """Return how to get pictures if they are wanted and none has come for a while, else an empty text."""
        client, now = self._client, self._now()
        if not client.wants_images or client.image is not None:
            return ""
        self._without_since = now if self._without_since is None else self._without_since
        hint = " without pictures (recordings have none; a run sends them with --set publish.images=true)"
        return hint if now - self._without_since > _PICTURES_EXPECTED else ""

    def _about_source(self) -> str:
        """Return how the publisher's camera is if it is not as usual, else an empty text."""
        source = self._client.status.status.source if self._client.status else None
        return "" if source is None or source.state == "live" else f", its source {source.state}"

    def _state_line(self, state: State) -> str:
        match state:
            case "waiting":
                return f"waiting for a publisher at {self._client.address}"
            case "refused":
                return f"refused at {self._client.address}: {self._client.refusal}"
            case "gone":
                return f"gone without a word, waiting for it to come back at {self._client.address}"
            case "running":
                return f"running{self._about_source()}{self._about_pictures()}"
        reason = self._client.status.status.reason if self._client.status else ""
        return f"{state}{f' ({reason})' if reason else ''}, waiting for the next at {self._client.address}"
