"""A paced source plays a file at its own rate, as a camera would give it."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from stages.contract import Source
from stages.packets import Choice, Frame, SourceInfo, SourceStatus

SLACK = 0.2
_POLL = 0.1  # s, within which a run that waits for a frame can be stopped


class PacedSource(Source):
    """It gives each frame of a source when its time has come, counted from the first, and None while it waits.

    A frame is stamped as captured at its time. A frame that is late is given at once. After `SLACK` seconds of delay
    all later frames are put off by as much: a file that decodes slower than its rate plays slower, and its frames do
    not count as old when they are given. Frames of a live source pass as they come.
    """

    name = "source"

    def __init__(
        self,
        source: Source,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source = source
        self.live, self.stills = source.live, source.stills
        self._clock = clock
        self._sleep = sleep
        self._live = False

    def open(self) -> SourceInfo:
        """Open the source, and return what it tells."""
        info = self._source.open()
        self._live = info.live
        return info

    def frames(self) -> Iterator[Frame | None]:
        """Yield the source's frames, each at its time."""
        frames = self._source.frames()
        if self._live:
            yield from frames
            return
        start: int | None = None
        for frame in frames:
            if frame is None:
                yield None
                continue
            now, pts = self._clock(), round(frame.meta.pts * 1e9)
            if start is None or now - (start + pts) > SLACK * 1e9:
                start = now - pts
            due = start + pts
            while (wait := due - self._clock()) > 0:
                self._sleep(min(wait / 1e9, _POLL))
                if due > self._clock():
                    yield None
            yield Frame(replace(frame.meta, captured_ns=due), frame.image)

    def interrupt(self) -> None:
        """Interrupt the source itself."""
        self._source.interrupt()

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def status(self) -> SourceStatus | None:
        """Return the source's own."""
        return self._source.status()

    def outpaced(self, replaced: bool) -> None:
        """Tell the source itself."""
        self._source.outpaced(replaced)

    def skipped(self) -> Mapping[str, int]:
        """Return the source's own."""
        return self._source.skipped()

    def choices(self) -> tuple[Choice, ...]:
        """Return the source's choices, and that it is paced."""
        if self._live:
            return self._source.choices()
        paced = Choice("pace", "the file's own rate", "source.realtime is set")
        return (*self._source.choices(), paced)
