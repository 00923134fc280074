"""Cameras and network streams have in common a reader that waits in foreign code, and opens again when it drops.

FFmpeg and OpenCV wait for data in calls that nothing can end early. So one thread reads, and `frames` takes from it
what is there: a run can be stopped at any moment. The thread ends with `close`, or when its call comes back, which
for streams is within `source.live.read_timeout`. Nothing is dropped here: a reader that is ahead waits.
"""

import logging
import queue
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from threading import Event, Thread

from hamba_core.errors import BrokenSourceError, SourceError
from stages.contract import EndOfStream, Source
from stages.packets import Choice, Frame, Image, SourceInfo
from stages.sources.lens.framing import FrameMaker
from stages.sources.settings import SourceSettings
from stages.sources.timestamps import Timeline

logger = logging.getLogger(__name__)

_POLL = 0.2  # s between two "nothing yet"
_AHEAD = 2  # pictures the reader may be ahead
_JOIN = 0.5  # s
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 1.2  # s between attempts to come back
_JITTER = 0.25  # of a pause, at random, so that many who lost one server do not all knock at once


@dataclass(frozen=True, eq=False)
class Picture:
    """What a session reads."""

    image: Image
    stamp: float | None  # s on the stream's own clock
    captured_ns: int


class Session(ABC):
    """One connection to a camera or a stream, made, used and closed in the reader's thread."""

    rate: float | None = None  # nominal pictures a second
    expected: int | None = None  # pictures, where the stream has an end
    live: bool = True

    @abstractmethod
    def pictures(self) -> Generator[Picture]:
        """Yield pictures until the stream ends. Raises SourceError when it drops."""

    @abstractmethod
    def close(self) -> None:
        """Let the camera or the stream go."""

    @abstractmethod
    def choices(self) -> tuple[Choice, ...]:
        """Return decoder or back-end, and what was damaged in this connection. Another thread asks for it."""


class _Again:
    """Put before the first picture of a connection that was made again."""


class _End:
    """Put after the last picture."""


_Item = Picture | _Again | _End | BaseException


class LiveSource(Source):
    """A source of a camera's or a stream's frames, as they come."""

    name = "source"
    live = True

    def __init__(
        self, name: str, kind: str, connect: Callable[[], Session], settings: SourceSettings, stream: str
    ) -> None:
        self._name = name
        self.kind = kind
        self._connect = connect
        self._settings = settings
        self._maker = FrameMaker(stream, settings, kind)
        self._timeline = Timeline()
        self._handover: queue.Queue[_Item] = queue.Queue(_AHEAD)
        self._stop = Event()
        self._reader = Thread(target=self._read, name=f"reader of {name}", daemon=True)
        self._session: Session | None = None  # the newest; here only to be described
        self._first: Picture | None = None
        self._start_ns = 0
        self._newest_ns = 0
        self._reconnections = 0

    def open(self) -> SourceInfo:
        """Connect and wait for the first picture. Raises SourceError if none comes in time."""
        self._reader.start()
        patience = self._settings.live.open_timeout + self._settings.live.read_timeout
        first = self._first_item(patience)
        if first is None:
            raise SourceError(
                f"{self._name}: expected a picture within {patience:g} s, found none; is it in use elsewhere, or still "
                "starting? The limits are source.live.open_timeout and source.live.read_timeout"
            )
        if type(first) is SourceError and self._name not in str(first):
            raise SourceError(f"{self._name}: expected a stream, found {first}") from first
        if isinstance(first, BaseException):
            raise first
        session = self._session
        if not isinstance(first, Picture) or session is None:
            raise SourceError(f"{self._name}: expected pictures, found a stream that ended before its first")
        self._first = first
        self._timeline = Timeline(session.rate)
        self._start_ns = self._newest_ns = first.captured_ns
        height, width = first.image.shape[:2]
        return SourceInfo(
            name=self._name,
            kind=self.kind,
            live=session.live,
            width=width,
            height=height,
            fps=session.rate,
            frames=session.expected,
            camera=self._maker.camera_of(first.image),
        )

    def frames(self) -> Iterator[Frame | None]:
        """Yield every picture that is read, and None while there is no new one.

        Raises BrokenSourceError if it dropped and did not come back within `source.live.reconnect_timeout`.
        """
        if self._first is None:
            raise SourceError(f"{self._name}: expected an open source, found it closed; call open first")
        yield self._frame(self._first, again=False)
        self._first = None
        again = False
        newest = time.monotonic()
        while True:
            try:
                item = self._handover.get(timeout=_POLL)
            except queue.Empty:
                item = None
            if isinstance(item, Picture):
                yield self._frame(item, again)
                again = False
                newest = time.monotonic()
            elif isinstance(item, SourceError):
                raise self._broken(str(item)) from item
            elif isinstance(item, BaseException):
                raise item
            elif isinstance(item, _End):
                return
            else:
                again |= isinstance(item, _Again)
                if time.monotonic() - newest > self._patience():
                    raise self._broken("it stopped giving pictures")
                yield None
            del item

    def interrupt(self) -> None:
        """Let `open` raise EndOfStream at once, whatever the reader waits for."""
        self._stop.set()

    def close(self) -> None:
        """Tell the reader to end. One that is stuck in a foreign call ends when the call comes back."""
        self._stop.set()
        self._first = None
        if self._reader.ident is not None:
            self._reader.join(_JOIN)
            if self._reader.is_alive():
                logger.debug("%s: the reader is still in a foreign call and ends with it", self._name)

    def choices(self) -> tuple[Choice, ...]:
        """Return back-end or decoder, camera, and how often it had to be opened again."""
        session = self._session
        if session is None:
            return ()
        chosen = [*session.choices(), self._maker.choice()]
        if self._reconnections:
            chosen.append(
                Choice("connection", f"opened again {self._reconnections} times", "it had dropped", fallback=True)
            )
        return tuple(chosen)

    def _first_item(self, patience: float) -> _Item | None:
        """Return what the reader hands over first; None if nothing comes. Raises EndOfStream once interrupted."""
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up:
            if self._stop.is_set():
                raise EndOfStream
            with suppress(queue.Empty):
                return self._handover.get(timeout=_POLL)
        return None

    def _frame(self, picture: Picture, again: bool) -> Frame:
        self._newest_ns = max(self._newest_ns, picture.captured_ns)
        if again:
            self._timeline.restart((self._newest_ns - self._start_ns) / 1e9)
        return self._maker.frame(picture.image, self._timeline.place(picture.stamp), self._newest_ns)

    def _patience(self) -> float:
        """Return the seconds without a picture after which it is given up, whatever the reader is doing."""
        comes_back = self._settings.live.reconnect_timeout if self._settings.live.reconnect else 0.0
        return comes_back + self._settings.live.open_timeout + 2 * self._settings.live.read_timeout

    def _broken(self, what: str) -> BrokenSourceError:
        return BrokenSourceError(
            f"{self._name}: expected the stream to go on, found that {what.removeprefix(f'{self._name}: ')}; "
            f"{self._maker.given} frames, up to {self._timeline.last or 0.0:.2f} s, were read"
        )

    # What follows runs in the reader's thread.

    def _read(self) -> None:
        try:
            self._session = session = self._connect()
            while True:
                dropped = self._drain(session)
                if self._stop.is_set() or (dropped is None and not session.live):
                    break
                if not (self._settings.live.reconnect and session.live):
                    if dropped is not None:
                        raise dropped
                    break
                session = self._connect_again(dropped)
            self._hand_over(_End())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that asked
            self._hand_over(error)

    def _drain(self, session: Session) -> SourceError | None:
        """Hand over everything a session reads; return the error with which it dropped, or None at its end."""
        try:
            with closing(session.pictures()) as pictures:
                for picture in pictures:
                    if not self._hand_over(picture):
                        break
        except SourceError as error:
            return error
        finally:
            session.close()
        return None

    def _connect_again(self, dropped: SourceError | None) -> Session:
        reason = str(dropped or "it ended").removeprefix(f"{self._name}: ")
        logger.warning("%s dropped: %s; opening it again", self._name, reason)
        give_up = time.monotonic() + self._settings.live.reconnect_timeout
        pause = _FIRST_PAUSE
        while not self._stop.wait(pause * random.uniform(1 - _JITTER, 1 + _JITTER)):
            try:
                session = self._connect()
            except SourceError as error:
                reason = str(error).removeprefix(f"{self._name}: ")
                if time.monotonic() > give_up:
                    raise SourceError(
                        f"it dropped and did not come back within {self._settings.live.reconnect_timeout:g} s "
                        f"(source.live.reconnect_timeout): {reason}"
                    ) from error
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            self._session = session
            self._reconnections += 1
            self._hand_over(_Again())
            logger.warning("%s is back", self._name)
            return session
        raise SourceError("it was closed")

    def _hand_over(self, item: _Item) -> bool:
        """Hand over one item, and return False if the source was closed meanwhile."""
        while not self._stop.is_set():
            try:
                self._handover.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False
