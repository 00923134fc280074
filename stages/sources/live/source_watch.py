"""The watch of a live source tells in which state it is, and counts and says once what is not as it should be."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from math import nan
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from stages.packets import Image, SourceState, SourceStatus

logger = logging.getLogger(__name__)

STALLED_NS = 1_000_000_000
"""So long without a picture is a stall."""
FROZEN_NS = 3_000_000_000
"""So long nothing but the same picture: the noise of a camera alone makes two pictures differ. Of video, key frames are
compared, since those between differ little where nothing moves, and the same picture is not coded twice alike."""
_EQUAL_KEYS = 2  # key frames like the one before them
_STILL = 3.0  # of 255: the mean by which a picture differs from its key frame where nothing moves
BLACK_NS = 1_000_000_000
_BLACK = 24  # of 255: no channel of any pixel looked at is brighter; limited range, noise and compression lie below
_LOOKED_AT = 48  # pixels looked at along each side
_RATE_OFF = 0.3  # share by which the rate may differ from the nominal one
_RATE_NS = 5_000_000_000

_Look = NDArray[np.uint8]  # some of a picture's pixels

_SAID = {
    "stalled": "gives no pictures",
    "frozen": "gives the same picture again and again",
    "black": "gives black pictures: is the lens covered, or the light off?",
}


class SourceWatch:
    """It is told what happens, by the reader and by the source, and can be asked by any thread."""

    def __init__(self, name: str, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._name = name
        self._now_ns = now_ns
        self._lock = Lock()
        self._connection: SourceState = "connecting"
        self._since_ns = now_ns()  # when it entered `_connection`
        self._shown: SourceState = "connecting"
        self._reason = ""
        self._counts: Counter[str] = Counter()
        self._said: set[str] = set()
        self._picture_ns: int | None = None  # when the newest picture came
        self._captured_ns: int | None = None
        self._captured_by = ""
        self._look: _Look | None = None  # of the newest picture
        self._key_look: _Look | None = None  # of the newest key frame
        self._equal_keys = 0  # in a row
        self._size: tuple[int, int] | None = None
        self._same_since_ns = self._black_since_ns = self._key_since_ns = 0
        self._rate_from: tuple[int, int] | None = None  # when its counting began, and pictures since

    def connecting(self, reason: str) -> None:
        """Note that a first connection was in vain, and that it is tried again."""
        with self._lock:
            self._reason = reason
            self._count("attempts in vain")

    def lost(self, reason: str) -> None:
        """Note that the connection dropped, or that it could not be made again."""
        with self._lock:
            if self._connection != "lost":
                self._enter("lost")
                self._count("drops")
            self._reason = reason

    def back(self) -> None:
        """Note that it was opened again; the first picture makes it live."""
        with self._lock:
            self._count("reconnections")
            self._rate_from = None

    def ended(self) -> None:
        """Note that nothing more is to come."""
        with self._lock:
            self._enter("ended")

    def event(self, kind: str, words: str) -> None:
        """Count something that happened to the stream, and say it the first time."""
        with self._lock:
            self._count(kind)
            self._say(kind, words)

    def picture(
        self, image: Image, captured_ns: int, captured_by: str, rate: float | None, *, key: bool = True
    ) -> None:
        """Take note of a picture that was given, coded without others (`key`) or not; `rate` is the nominal one."""
        now = self._now_ns()
        height, width = image.shape[:2]
        look = image[:: max(1, height // _LOOKED_AT), :: max(1, width // _LOOKED_AT)].copy()
        with self._lock:
            if self._connection != "live":
                self._enter("live")
                self._reason = ""
            elif self._picture_ns is not None and now - self._picture_ns > STALLED_NS:
                self._count("stalls")
                self._rate_from = None
            if self._size not in (None, (width, height)):
                self._count("changes of size")
                self._say("size", f"gives pictures of {width}x{height} from here on, before of %dx%d" % self._size)
            self._size = (width, height)
            self._watch_change(look, now, key=key)
            if look.max() > _BLACK:
                self._black_since_ns = now
            self._picture_ns, self._captured_ns, self._captured_by = now, captured_ns, captured_by
            self._watch_rate(now, rate)
            self._state(now)

    def status(self) -> SourceStatus:
        """Return the state now."""
        with self._lock:
            now = self._now_ns()
            state = self._state(now)
            age = nan if self._captured_ns is None else max(0.0, (now - self._captured_ns) / 1e9)
            return SourceStatus(
                state=state,
                seconds=max(0.0, (now - self._begin_ns(state)) / 1e9),
                reason=self._reason,
                age=age,
                captured_by=self._captured_by,
                counts=dict(self._counts),
            )

    def _state(self, now: int) -> SourceState:
        """Return the state, and say it where it is new. The lock is held."""
        state = self._connection
        if state == "live" and self._picture_ns is not None:
            if now - self._picture_ns > STALLED_NS:
                state = "stalled"
            elif now - self._black_since_ns > BLACK_NS:
                state = "black"
            elif now - self._frozen_since_ns(now) > FROZEN_NS:
                state = "frozen"
        if state != self._shown:
            self._shown = state
            if state in ("frozen", "black"):
                self._count(state)
            if state in _SAID:
                self._say(state, _SAID[state])
        return state

    def _begin_ns(self, state: SourceState) -> int:
        match state:
            case "stalled" if self._picture_ns is not None:
                return self._picture_ns
            case "black":
                return self._black_since_ns
            case "frozen":
                return self._frozen_since_ns(self._now_ns())
        return self._since_ns

    def _watch_change(self, look: _Look, now: int, *, key: bool) -> None:
        if self._look is None or not np.array_equal(look, self._look):
            self._same_since_ns = now
        self._look = look
        if self._key_look is None or look.shape != self._key_look.shape:
            moved = True
        elif key:
            moved = not np.array_equal(look, self._key_look)
            self._equal_keys += 1
        else:
            moved = float(np.abs(look.astype(np.int16) - self._key_look).mean()) > _STILL
        if moved:
            self._equal_keys, self._key_since_ns = 0, now
        if key:
            self._key_look = look

    def _frozen_since_ns(self, now: int) -> int:
        """Return since when all pictures are the same."""
        by_keys = self._key_since_ns if self._equal_keys >= _EQUAL_KEYS else now
        return min(self._same_since_ns, by_keys)

    def _watch_rate(self, now: int, rate: float | None) -> None:
        if self._rate_from is None or rate is None:
            self._rate_from = (now, 0)
            return
        begin, pictures = self._rate_from
        self._rate_from = (begin, pictures + 1)
        if now - begin < _RATE_NS:
            return
        found = (pictures + 1) * 1e9 / (now - begin)
        self._rate_from = (now, 0)
        if abs(found / rate - 1) > _RATE_OFF:
            self._count("seconds at another rate", round((now - begin) / 1e9))
            self._say("rate", f"says that it gives {rate:.3g} pictures a second, and gives {found:.3g}")

    def _enter(self, state: SourceState) -> None:
        self._connection = state
        self._since_ns = self._same_since_ns = self._black_since_ns = self._key_since_ns = self._now_ns()
        self._look = self._key_look = None
        self._equal_keys = 0
        self._picture_ns = None
        self._state(self._now_ns())

    def _count(self, kind: str, number: int = 1) -> None:
        self._counts[kind] += number

    def _say(self, kind: str, words: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            logger.warning("%s %s", self._name, words)
