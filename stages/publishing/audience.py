"""What subscribers ask for, as far as a publisher needs to know it, and how much of it it listens to.

ZeroMQ keeps what every subscriber has subscribed to, for as long as it is connected, and hands each subscription on:
whoever sends millions of them would fill the memory and take all the time. So a bounded number is looked at before
each message, and what nobody publishes is counted.
"""

from typing import Final

import zmq

from stages import wire

_AT_ONCE: Final = 2000  # subscriptions that are looked at before each message
_GREETINGS, _GREETINGS_A_SECOND = 30, 5.0  # models sent at once, and in the long run
_MOST_USELESS_BYTES: Final = 2 << 20  # ZeroMQ takes some 50 bytes for each of them


class Audience:
    """Who listens to a stream: whether they want pictures, whether somebody has not had the model yet, who floods."""

    def __init__(self, stream: str) -> None:
        self._topics = {kind: f"{kind}/{stream}\0".encode() for kind in wire.KINDS}
        self._picture_topics: set[bytes] = set()
        self._newcomers = False
        self._greetings, self._greeted = float(_GREETINGS), 0.0
        self._useless_bytes = 0

    @property
    def wants_pictures(self) -> bool:
        """Whether anybody does."""
        return bool(self._picture_topics)

    @property
    def floods(self) -> bool:
        """Whether so much was subscribed to that is not published that ZeroMQ should be made to forget it."""
        return self._useless_bytes > _MOST_USELESS_BYTES

    def listen(self, socket: "zmq.Socket[bytes]") -> None:
        """Look at some of what subscribers of this XPUB socket have sent."""
        for _ in range(_AT_ONCE):
            try:
                event = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if event[:1] != b"\1":
                self._picture_topics.discard(event[1:])  # the last of its subscribers has gone
                continue
            subscribed = event[1:]
            if self._topics["image"].startswith(subscribed):
                self._picture_topics.add(subscribed)
            self._newcomers = self._newcomers or self._topics["model"].startswith(subscribed)
            if not any(topic.startswith(subscribed) for topic in self._topics.values()):
                self._useless_bytes += len(subscribed)

    def is_to_be_greeted(self, now: float) -> bool:
        """Return whether somebody waits for the model and it is time, s, to send it once more, to all of them."""
        self._greetings = min(_GREETINGS, self._greetings + (now - self._greeted) * _GREETINGS_A_SECOND)
        self._greeted = now
        if not self._newcomers or self._greetings < 1:
            return False
        self._newcomers, self._greetings = False, self._greetings - 1
        return True

    def forget(self) -> None:
        """Begin anew: everybody was hung up on, and those who mean it come back."""
        self._picture_topics.clear()
        self._useless_bytes = 0
