"""Say when hands begin to do something, go on, and cease.

Each kind of each hand has a switch: it goes on once the hand has looked like it for a while (`confirm`), and off once
it has looked unlike it for a while (`release`); between the two levels it stays as it is. Where the joints that tell
are likely hidden, both take longer.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from pydantic import Field

from hamba_core.arrays import Array
from hamba_core.hand import Side
from stages.contract import Stage
from stages.events.resemblance import INVOLVED, strengths
from stages.packets import EVENT_KINDS, Choice, EventKind, EventPhase, FrameResult, Hand, HandEvent
from stages.settings import StageSettings

ENTER: Final = 0.6
"""The strength from which on a hand looks like it."""
LEAVE: Final = 0.3
"""The strength below which it looks unlike it."""
_LEAST_TRUST: Final = 0.25
"""Hidden joints make a switch this much slower, at most."""


class EventSettings(StageSettings):
    """Which events are told, and how surely."""

    enabled: bool = Field(True, description="report pinch, grab, point, open and thumbs up")
    confirm: float = Field(
        0.06, ge=0, le=5, description="s for which a hand must show a gesture before its event starts"
    )
    release: float = Field(
        0.10, ge=0, le=5, description="s for which a hand must have left a gesture before its event ends"
    )


class Events(Stage[FrameResult, FrameResult]):
    """It adds events to results. A hand that is extrapolated begins nothing; one that has gone ends all it did."""

    name = "events"

    def __init__(self, settings: EventSettings | None = None) -> None:
        self._settings = settings or EventSettings()
        self._hands: dict[tuple[int, Side], _Doing] = {}
        self._started: Counter[EventKind] = Counter()

    def process(self, packet: FrameResult) -> FrameResult:
        if not self._settings.enabled:
            return packet
        pts, events = packet.frame.pts, []
        here = {(hand.track_id, hand.side): hand for hand in packet.hands}
        for key, hand in here.items():
            if key not in self._hands:
                self._hands[key] = _Doing(key, self._settings)
            events += self._hands[key].see(hand, pts)
        for key in [key for key in self._hands if key not in here]:
            doing = self._hands[key]
            if not 0 <= pts - doing.seen < self._settings.release:
                del self._hands[key]
                events += doing.end(pts)
        self._started.update(event.kind for event in events if event.phase == "start")
        return replace(packet, events=tuple(events))

    def close(self) -> None:
        self._hands = {}

    def choices(self) -> tuple[Choice, ...]:
        """Return how often each event has started."""
        if not self._settings.enabled:
            return (Choice("events", "off", "events.enabled is false"),)
        counts = ", ".join(f"{self._started[kind]} {kind}" for kind in EVENT_KINDS if self._started[kind])
        return (Choice("events", counts or "none", "how often each has started"),)


@dataclass
class _Switch:
    """One kind of event of one hand."""

    on: bool = False
    since: float = 0.0  # s, when it went on
    against: float | None = None  # s, since when the hand has looked the other way; none: it does not


class _Doing:
    """What one hand does."""

    def __init__(self, key: tuple[int, Side], settings: EventSettings) -> None:
        self._track_id, self._side = key
        self._settings = settings
        self._switches = {kind: _Switch() for kind in EVENT_KINDS}
        self._strengths = np.zeros(len(EVENT_KINDS))
        self.seen = -np.inf  # s, when it was here last

    def see(self, hand: Hand, pts: float) -> list[HandEvent]:
        """Return the events of the next frame that this hand is in."""
        if pts < self.seen:  # a recording that is played again from its start
            self._switches = {kind: _Switch() for kind in EVENT_KINDS}
        self.seen = pts
        if hand.seen:
            self._strengths = strengths(hand.joints.astype(np.float64))
        events = []
        for kind, strength in zip(EVENT_KINDS, self._strengths.tolist(), strict=True):
            switch, trust = self._switches[kind], _trust(hand, kind)
            was_on = switch.on
            if hand.seen:
                self._turn(switch, strength, trust, pts)
            if switch.on or was_on:
                phase: EventPhase = "hold" if switch.on and was_on else "start" if switch.on else "end"
                events.append(self._event(kind, phase, strength * (0.5 + 0.5 * trust), pts))
        return events

    def _turn(self, switch: _Switch, strength: float, trust: float, pts: float) -> None:
        """Turn a switch if it is time."""
        if (strength >= LEAVE) if switch.on else (strength < ENTER):
            switch.against = None
            return
        if switch.against is None:
            switch.against = pts
        needed = (self._settings.release if switch.on else self._settings.confirm) / max(trust, _LEAST_TRUST)
        if pts - switch.against >= needed - 1e-6:  # times of frames are rounded
            if not switch.on:
                switch.since = pts
            switch.on, switch.against = not switch.on, None

    def end(self, pts: float) -> list[HandEvent]:
        """Return the ends of all that it still did."""
        return [self._event(kind, "end", 0.0, pts) for kind, switch in self._switches.items() if switch.on]

    def _event(self, kind: EventKind, phase: EventPhase, confidence: float, pts: float) -> HandEvent:
        held = max(pts - self._switches[kind].since, 0.0)
        return HandEvent(self._track_id, self._side, kind, phase, confidence, held)


def _trust(hand: Hand, kind: EventKind) -> float:
    """Return how likely the joints that tell are in sight, 0..1; 1 where nobody knows."""
    if hand.visibility is None:
        return 1.0
    seen: Array = hand.visibility[list(INVOLVED[kind])].astype(np.float64)
    return float(seen.mean())
