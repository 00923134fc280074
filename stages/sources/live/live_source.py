"""Cameras and network streams have in common that what they send does not wait.

A reader (`reader`) has a thread of its own, since FFmpeg and OpenCV wait in calls that nothing can end early. It reads
packets as they come into a buffer (`packet_buffer`), from which `frames` takes and decodes them in the thread of the
source. So nothing waits in sockets where nobody sees how old it gets: what waits, waits in the buffer, with the time of
its capture (`capture_clock`), and a decoder that is behind is given the newest from which it can go on.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from math import isinf

from hamba_core.errors import BrokenSourceError, SourceError
from hamba_core.text import counted
from stages.contract import EndOfStream, Source
from stages.packets import Choice, Frame, SourceInfo, SourceStatus
from stages.sources.lens.framing import FrameMaker
from stages.sources.live.capture_clock import captured
from stages.sources.live.packet import Epoch, Packet
from stages.sources.live.packet_buffer import LATE, End, Item, PacketBuffer
from stages.sources.live.reader import Reader
from stages.sources.live.session import Decoded, Session
from stages.sources.live.source_watch import SourceWatch
from stages.sources.settings import SourceSettings
from stages.sources.timestamps import Timeline

_POLL = 0.2  # s between two "nothing yet"
_SILENCE_NS = 500_000_000
_LATE_PIECE = 0.2  # s; so late may a picture be of a stream that comes in pieces, and those after it keep their times
_LONGEST_WAIT = 60.0  # s; more between two pictures is a clock that jumped

NOT_GIVEN = "behind: decoded only"
UNDECODED = "behind: not decoded"
OUTPACED = "not decoded: the stages are slower"

_OUTPACED, _MOST_OUTPACED = 4, 8
"""So many frames took the place of one before, beyond two for each that did not, where the stages are slower."""


class LiveSource(Source):
    """A source of a camera's or a stream's frames, as they come."""

    name = "source"
    live = True

    def __init__(
        self, name: str, kind: str, connect: Callable[[], Session], settings: SourceSettings, stream: str
    ) -> None:
        self._name = name
        self.kind = kind
        self._settings = settings
        self._maker = FrameMaker(stream, settings, kind)
        self._timeline = Timeline()
        self._watch = SourceWatch(name)
        self._buffer = PacketBuffer(settings.live.max_age)
        self._reader = Reader(name, connect, settings.live, self._buffer, self._watch)
        self._ready: list[Frame] = []  # made and not given yet
        self._epoch: Epoch | None = None
        self._start_ns = self._newest_ns = 0
        self._given_ns = 0  # when the newest picture was given; 0 before
        self._late_since_ns = 0  # since when all pictures were late and none was given; 0 if the last was not late
        self._undecoded_since_ns = 0  # since when none came out of the decoder
        self._outpaced = 0
        self._began: float | None = None  # when the first picture of a stream that comes in pieces was due
        self._taken_ns = 0  # when the newest packet was taken from the buffer; 0 before
        self._silent = 0.0  # s without a packet, as far as this thread saw them pass
        self._looked = self._heard = time.monotonic()
        self._left_out: Counter[str] = Counter()
        self._captured_by = ""

    def open(self) -> SourceInfo:
        """Connect and wait for the first picture. Raises SourceError if none comes in time."""
        self._reader.start()
        live = self._settings.live
        patience = float("inf") if live.wait else live.open_timeout + live.read_timeout
        self._heard = time.monotonic()
        while not self._ready:
            if self._reader.stopped:
                raise EndOfStream
            item = self._buffer.take(_POLL)
            if isinstance(item, Item):
                self._decode(item)
                if item.session.failure is not None and not live.wait:
                    raise self._not_opened(End(item.session, item.session.failure))
            elif isinstance(item, End):
                raise self._not_opened(item)
            if time.monotonic() > self._heard + patience and not self._ready:
                session = self._reader.session
                unread = session.unread if session is not None else None
                reason = str(unread or "") or self._watch.status().reason
                raise SourceError(
                    f"{self._name}: expected a picture within {patience:g} s, found none"
                    f"{f' ({reason})' if reason else ''}; is it in use elsewhere, or still starting? The limits are "
                    "source.live.open_timeout and source.live.read_timeout"
                )
        session = self._reader.session
        if session is None:
            raise SourceError(f"{self._name}: expected a connection, found none")
        first = self._ready[0]
        return SourceInfo(
            name=self._name,
            kind=self.kind,
            live=session.live,
            width=first.meta.width,
            height=first.meta.height,
            fps=session.rate,
            frames=session.expected,
            camera=first.meta.camera,
        )

    def frames(self) -> Iterator[Frame | None]:
        """Yield pictures as they come, and None while there is no new one.

        Raises BrokenSourceError if it dropped and did not come back within `source.live.reconnect_timeout`.
        """
        if not self._ready:
            raise SourceError(f"{self._name}: expected an open source, found it closed; call open first")
        while True:
            while self._ready:
                yield from self._until_due(self._ready[0])
                yield self._ready.pop(0)
            item = self._buffer.take(_POLL)
            self._watch_silence(came=item is not None)
            if isinstance(item, Item):
                self._decode(item)
                if self._ready:
                    continue
            elif isinstance(item, End):
                self._end(item)
                yield from self._ready
                return
            elif time.monotonic_ns() - self._given_ns > self._patience() * 1e9:
                raise self._broken("it stopped giving pictures")
            yield None

    def heard(self) -> bool:
        """Take note that something came of a first picture that takes long; return whether it is still waited for."""
        self._heard = time.monotonic()
        return not self._reader.stopped

    def _until_due(self, frame: Frame) -> Iterator[None]:
        """Yield None until a picture is due that came with seconds of others: they are given at the stream's rate.

        A picture that is late is given at once, and puts off those after it.
        """
        session = self._reader.session
        if session is None or not session.in_pieces:
            return
        pts, now = frame.meta.pts, time.monotonic()
        if self._began is None or not -_LATE_PIECE < self._began + pts - now < _LONGEST_WAIT:
            self._began = now - pts
        while (wait := self._began + pts - time.monotonic()) > 0 and not self._reader.stopped:
            time.sleep(min(wait, _POLL))
            yield None

    def interrupt(self) -> None:
        """Let `open` raise EndOfStream at once, whatever the reader waits for."""
        self._reader.stop()

    def close(self) -> None:
        """Tell the reader to end. One that is stuck in a foreign call ends when the call comes back."""
        self._ready.clear()
        self._reader.close()

    def choices(self) -> tuple[Choice, ...]:
        """Return back-end or decoder, camera, how times are known, and how often it had to be opened again."""
        session, again = self._reader.session, self._reader.reconnections
        if session is None:
            return ()
        chosen = [*session.choices(), self._maker.choice()]
        if self._captured_by and session.live:
            chosen.append(Choice("time of capture", self._captured_by, "the best that is known"))
        if again:
            times = "once" if again == 1 else counted(again, "time")
            chosen.append(Choice("connection", f"opened again {times}", "it had dropped", fallback=True))
        return tuple(chosen)

    def status(self) -> SourceStatus | None:
        """Return the state, the age and what happened so far; none for a file at an address."""
        session = self._reader.session
        return None if session is not None and not session.live else self._watch.status()

    def outpaced(self, replaced: bool) -> None:
        """Leave out pictures that no other depends on while the stages are slower than the stream."""
        self._outpaced = min(self._outpaced + 1, _MOST_OUTPACED) if replaced else max(self._outpaced - 2, 0)

    def skipped(self) -> Mapping[str, int]:
        """Return how many pictures were left out to catch up, by cause."""
        return {**self._buffer.skipped, **self._left_out}

    def _decode(self, item: Item) -> None:
        """Make frames of the pictures that come out when a packet goes in, but for those that are too late."""
        session, packet = item.session, item.packet
        behind = self._buffer.behind(item)
        late = behind > LATE or self._is_leftover(session, packet)
        if not late:
            self._late_since_ns = 0
        elif not self._late_since_ns:
            self._late_since_ns = time.monotonic_ns()
        if packet.after_gap:
            self._watch.event("skips", f"was {'' if isinf(behind) else 'far '}behind and skips to its newest pictures")
        given, came = len(self._ready), False
        hurry = late or self._outpaced >= _OUTPACED
        try:
            for decoded in session.decode(packet, hurry=hurry):
                came = True
                if late and time.monotonic_ns() - self._late_since_ns < self._settings.live.max_age * 1e9:
                    self._left_out[NOT_GIVEN] += 1
                else:
                    self._give(session, packet, decoded)
                    self._late_since_ns = 0
        except SourceError as error:
            session.failure = session.failure or error
        if hurry and not came and packet.size:
            self._left_out[UNDECODED if late else OUTPACED] += 1
        self._watch_decoding(session, came=came or len(self._ready) > given)

    def _is_leftover(self, session: Session, packet: Packet) -> bool:
        """Return whether a packet was held back from before a silence, as by FFmpeg until it saw the next begin."""
        now = time.monotonic_ns()
        idle, self._taken_ns = now - (self._taken_ns or now), now
        age = now - captured(packet, packet.stamp)[0]
        return session.newest_only and idle > _SILENCE_NS and age > 0.9 * idle

    def _give(self, session: Session, packet: Packet, decoded: Decoded) -> None:
        """Make a frame of a picture."""
        stamp, image = decoded.stamp, decoded.image()
        taken_ns, captured_by = captured(packet, stamp)
        if not self._given_ns:
            self._start_ns = taken_ns
            self._timeline = Timeline(session.rate)
        self._newest_ns = max(self._newest_ns, taken_ns)  # what is learnt later may date a picture before the last
        if packet.epoch is not self._epoch:
            if self._epoch is not None:
                self._timeline.restart((self._newest_ns - self._start_ns) / 1e9)
            self._epoch = packet.epoch
        pts = self._timeline.place(self._newest_ns / 1e9 if stamp is None and session.newest_only else stamp)
        self._given_ns = time.monotonic_ns()
        self._captured_by = captured_by if session.live else ""
        if not session.dropped:
            self._watch.picture(image, self._newest_ns, captured_by, session.rate, key=decoded.key)
        self._ready.append(self._maker.frame(image, pts, self._newest_ns, captured_by=self._captured_by))

    def _watch_silence(self, *, came: bool) -> None:
        """Let a session go of which nothing has come for as long as that is waited for.

        Where FFmpeg's own wait is over, it gives what it had held back, and would then wait as long again. The time is
        counted from look to look: a process that was stopped meanwhile has not waited.
        """
        now = time.monotonic()
        self._silent = 0.0 if came else self._silent + min(now - self._looked, 2 * _POLL)
        self._looked = now
        session, patience = self._reader.session, self._settings.live.read_timeout
        if session is None or session.dropped or not session.holds_back:
            return
        if self._silent > max(patience - 2 * _POLL, patience / 2):
            session.failure = session.failure or SourceError(f"nothing came within {patience:g} s")

    def _watch_decoding(self, session: Session, *, came: bool) -> None:
        """Let a session go whose packets have not become a picture for as long as one without packets is waited for."""
        now = time.monotonic_ns()
        if came or not self._given_ns:
            self._undecoded_since_ns = now
        elif now - self._undecoded_since_ns > self._settings.live.read_timeout * 1e9:
            self._undecoded_since_ns = now
            session.failure = SourceError(
                f"what it sent for {self._settings.live.read_timeout:g} s could not be decoded"
            )

    def _end(self, end: End) -> None:
        """Take leave of a stream that is over. Raises what ended it, and if some of it is missing."""
        self._watch.ended()
        if isinstance(end.error, SourceError):
            raise self._broken(str(end.error)) from end.error
        if end.error is not None:
            raise end.error
        missing = end.session.missing() if end.session is not None and not end.session.live else None
        if missing is not None:
            raise self._broken(missing)

    def _not_opened(self, end: End) -> BaseException:
        error = end.error
        if type(error) is SourceError and self._name not in str(error):
            named = SourceError(f"{self._name}: expected a stream, found {error}")
            named.__cause__ = error
            return named
        if error is not None:
            return error
        if self._reader.stopped:
            return EndOfStream()
        unread = f", since none could be read: {end.session.unread}" if end.session and end.session.unread else ""
        return SourceError(f"{self._name}: expected pictures, found a stream that ended before its first{unread}")

    def _patience(self) -> float:
        """Return the seconds without a picture after which it is given up, whatever the reader is doing."""
        live = self._settings.live
        comes_back = live.reconnect_timeout if live.reconnect else 0.0
        return float("inf") if comes_back is None else comes_back + live.open_timeout + 2 * live.read_timeout

    def _broken(self, what: str) -> BrokenSourceError:
        return BrokenSourceError(
            f"{self._name}: expected the stream to go on, found that {what.removeprefix(f'{self._name}: ')}; "
            f"{counted(self._maker.given, 'frame')}, up to {self._timeline.last or 0.0:.2f} s, were read"
        )
