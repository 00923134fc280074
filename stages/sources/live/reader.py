"""The reader has a live source's one thread: it connects, reads packets as they come, and connects again.

FFmpeg and OpenCV wait in calls that nothing can end early, so this thread never decodes, never waits for who does, and
is waited for by nobody: a source that is closed leaves it alone in its call. It ends when the call comes back, which
for streams is within `source.live.read_timeout`, and it is a daemon, which cannot hold the process.
"""

import logging
import random
import time
from collections.abc import Callable
from contextlib import closing
from math import inf
from threading import Event, Thread

from hamba_core.errors import SourceError
from stages.sources.live.capture_clock import CaptureClock
from stages.sources.live.packet_buffer import End, PacketBuffer
from stages.sources.live.session import Session
from stages.sources.live.source_watch import SourceWatch
from stages.sources.settings import LiveSettings

logger = logging.getLogger(__name__)

_JOIN = 0.5  # s
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 0.8  # s between attempts to come back
_JITTER = 0.25  # of a pause, at random, so that many who lost one server do not all knock at once


class Reader:
    """It fills a buffer from one session after another."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], Session],
        settings: LiveSettings,
        buffer: PacketBuffer,
        watch: SourceWatch,
    ) -> None:
        self._name = name
        self._connect = connect
        self._settings = settings
        self._buffer = buffer
        self._watch = watch
        self._clock = CaptureClock()
        self._stop = Event()
        self._thread = Thread(target=self._read, name=f"reader of {name}", daemon=True)
        self.session: Session | None = None
        """The newest."""
        self.reconnections = 0

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    @property
    def stopped(self) -> bool:
        """Whether it was told to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Tell it to end, and return at once."""
        self._stop.set()

    def close(self) -> None:
        """Tell it to end, and wait a moment. One that is in a foreign call ends when the call comes back."""
        self._stop.set()
        self._buffer.close()
        if self._thread.ident is not None:
            self._thread.join(_JOIN)
            if self._thread.is_alive():
                logger.debug("%s: the reader is still in a foreign call and ends with it", self._name)

    def _read(self) -> None:
        try:
            session = self._first()
            while session is not None:
                dropped = self._drain(session)
                if self._stop.is_set() or (dropped is None and not session.live):
                    break
                if not (self._settings.reconnect and session.live):
                    if dropped is not None:
                        raise dropped
                    break
                session = self._again(dropped)
            self._buffer.end(End(session))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that asked
            self._buffer.end(End(self.session, error))

    def _first(self) -> Session | None:
        """Connect for the first time; None if it was told to end."""
        said = False
        while True:
            try:
                self.session = self._connect()
            except SourceError as error:
                if not self._settings.wait:
                    raise
                self._watch.connecting(self._reason(error))
                if not said:
                    said = True
                    logger.warning("%s; it is tried again until it is there (source.live.wait)", error)
                if self._pause(_LONGEST_PAUSE):
                    return None
                continue
            return self.session

    def _drain(self, session: Session) -> SourceError | None:
        """Read a session to its end; return the error with which it dropped, or None where it ended."""
        self._clock.begin()
        jumps = self._clock.jumps
        try:
            with closing(session.packets()) as packets:
                for packet in packets:
                    self._clock.observe(packet, live=session.live)
                    if self._clock.jumps != jumps:
                        jumps = self._clock.jumps
                        self._watch.event("clock jumps", "has a clock that jumps; its time goes on as if it had not")
                    self._buffer.put(session, packet)
                    if session.failure is not None:
                        return session.failure
                    if self._stop.is_set():
                        break
        except SourceError as error:
            return error
        finally:
            session.dropped = True
            session.close()
        return None

    def _again(self, dropped: SourceError | None) -> Session | None:
        """Connect again, with pauses that grow; None if it was told to end. Raises SourceError in the end."""
        reason = self._reason(dropped) if dropped is not None else "it ended"
        self._watch.lost(reason)
        logger.warning("%s dropped: %s; opening it again", self._name, reason)
        patience = self._settings.reconnect_timeout
        began, pause = time.monotonic(), _FIRST_PAUSE
        while not self._pause(pause):
            try:
                session = self._connect()
            except SourceError as error:
                reason = self._reason(error)
                self._watch.lost(reason)
                left = began + patience - time.monotonic() if patience is not None else inf
                if left <= 0:
                    raise SourceError(
                        f"it dropped and did not come back within {patience:g} s "
                        f"(source.live.reconnect_timeout): {reason}"
                    ) from error
                pause = min(2 * pause, _LONGEST_PAUSE, max(left, _FIRST_PAUSE))  # the last try is near the time limit
                continue
            self.session = session
            self.reconnections += 1
            self._watch.back()
            logger.warning("%s is back", self._name)
            return session
        return None

    def _pause(self, seconds: float) -> bool:
        """Wait about so long; return whether it was told to end meanwhile."""
        return self._stop.wait(seconds * random.uniform(1 - _JITTER, 1 + _JITTER))

    def _reason(self, error: SourceError) -> str:
        return str(error).removeprefix(f"{self._name}: ")
