"""Count false and missed events of recordings of the test pattern, of which the truth is known.

    hamba run 'synthetic:?seed=900060&acts=gestures' --out out/900060
    python -m stages.events.make.measure out/*/hands.mcap [--again] [--confirm S] [--release S]

A gesture is *there* while a hand's fingers are within `NEAR` of it. An event is false if they are never within `FAR` of
it, from half a second before the event to its end; the almost-pinches of the test pattern are farther. `--again` takes
the recorded hands, and has the stage as it is now say what they do. Prints a table in Markdown.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from stages.common.proximity import joint_distance
from stages.common.terminal import Terminal
from stages.events import Events, EventSettings
from stages.packets import EVENT_KINDS, EventKind, FrameResult, HandEvent
from stages.recording import read_recording
from stages.synthetic import parse_synthetic
from stages.synthetic.source import SyntheticSource

NEAR, FAR = 0.03, 0.05  # rad, root of the mean square over all joint angles; an almost-pinch is 0.07 off a pinch
GESTURES: Final[Mapping[EventKind, tuple[str, ...]]] = {
    "pinch": ("pinch",),
    "grab": ("fist",),
    "point": ("one",),
    "open": ("open", "relaxed", "four"),
    "thumbs_up": ("thumbs_up",),
}
"""What is meant by each kind: the nearest of these counts."""
_LATE: Final = 0.5  # s, by which an event may begin after its gesture and still be its own
_SAME_HAND: Final = 0.5  # of its size


class Moment(NamedTuple):
    """One hand in one frame: how far it is from each kind's gesture, and what was said of it."""

    pts: float
    off: dict[EventKind, float]  # rad
    on: frozenset[EventKind]


@dataclass
class Counts:
    """Of one kind, over all hands."""

    there: int = 0  # gestures shown
    missed: int = 0
    false: int = 0
    delays: list[float] = field(default_factory=list)  # s


def moments(path: Path, settings: EventSettings | None) -> Iterator[list[Moment]]:
    """Yield the moments of each true hand of a recording of the test pattern; with settings, events are told anew."""
    recording = read_recording(path)
    source = SyntheticSource(parse_synthetic(recording.run.source.name))
    source.open()
    stage = None if settings is None else Events(settings)
    hands: dict[int, list[Moment]] = {}
    doing: dict[int, set[EventKind]] = {}  # by track
    for result in recording.results():
        told = result if stage is None else stage.process(result)
        _follow(doing, told.events)
        gestures = source.gestures_at(result.frame.pts)
        for number, joints_2d in enumerate(source.joints_2d_at(result.frame.pts)):
            track = _track_of(told, joints_2d)
            off = {kind: min(gestures[number][name] for name in names) for kind, names in GESTURES.items()}
            on = frozenset(doing.get(track, ())) if track is not None else frozenset()
            hands.setdefault(number, []).append(Moment(result.frame.pts, off, on))
    yield from hands.values()


def _follow(doing: dict[int, set[EventKind]], events: Sequence[HandEvent]) -> None:
    for event in events:
        mine = doing.setdefault(event.track_id, set())
        if event.phase == "end":
            mine.discard(event.kind)
        else:
            mine.add(event.kind)


def _track_of(result: FrameResult, joints_2d: np.ndarray) -> int | None:
    apart = {hand.track_id: joint_distance(hand.joints_2d.astype(np.float64), joints_2d) for hand in result.hands}
    nearest = min(apart, key=lambda track: apart[track], default=None)
    return nearest if nearest is not None and apart[nearest] < _SAME_HAND else None


def count(hand: Sequence[Moment], kind: EventKind, counts: Counts) -> None:
    """Add what was right and wrong about one kind of one hand."""
    there = [moment.off[kind] <= NEAR for moment in hand]
    for start, end in _stretches(there):
        counts.there += 1
        until = hand[end - 1].pts + _LATE
        first = next((m.pts for m in hand[start:] if kind in m.on and m.pts <= until), None)
        before = start > 0 and kind in hand[start - 1].on
        if first is None:
            counts.missed += 1
        elif start > 0 and not before:
            counts.delays.append(first - hand[start].pts)
    for start, end in _stretches([kind in moment.on for moment in hand]):
        around = [m.off[kind] for m in hand if hand[start].pts - _LATE <= m.pts <= hand[end - 1].pts]
        counts.false += min(around) > FAR


def _stretches(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff([False, *flags, False]))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--confirm", type=float, default=EventSettings().confirm)
    parser.add_argument("--release", type=float, default=EventSettings().release)
    given = parser.parse_args()
    settings = EventSettings(confirm=given.confirm, release=given.release) if given.again else None
    counts: dict[EventKind, Counts] = {kind: Counts() for kind in EVENT_KINDS}
    seconds = 0.0
    for path in given.recordings:
        for hand in moments(path, settings):
            seconds += hand[-1].pts - hand[0].pts
            for kind in EVENT_KINDS:
                count(hand, kind, counts[kind])
    console = Terminal()
    console.print(f"{len(given.recordings)} recordings, {seconds:.0f} s of hands\n")
    console.print(
        "| event | shown | missed | false | false an hour | delay, ms, median (90 %) |\n|---|---|---|---|---|---|"
    )
    for kind, found in counts.items():
        late = [1e3 * float(np.quantile(found.delays, q)) for q in (0.5, 0.9)] if found.delays else [np.nan, np.nan]
        delay, hourly = f"{late[0]:.0f} ({late[1]:.0f})", found.false / seconds * 3600
        console.print(f"| {kind} | {found.there} | {found.missed} | {found.false} | {hourly:.0f} | {delay} |")


if __name__ == "__main__":
    main()
