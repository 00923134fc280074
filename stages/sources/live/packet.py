"""A packet is what a live source sent, before it is decoded, with all that is known about its time."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Epoch:
    """A time through which the stream's clock did not jump. What is learnt later in it holds for packets before."""

    soonest_ns: float | None = None  # added to a stamp, ns: when a packet comes that nothing holds up
    sender_ns: int | None = None  # added to a stamp, ns: when the sender says that it was captured


@dataclass(eq=False)
class Packet:
    """What came at once: a picture as it was sent, or a part of one, with all that is known about its time."""

    data: Any  # what the session's `decode` takes
    arrived_ns: int  # time.monotonic_ns() when it was read
    stamp: float | None = None  # s on the stream's own clock; none where the stream has none
    wall_ns: int | None = None  # Unix time of its capture, as the sender says
    taken_ns: int | None = None  # time.monotonic_ns() of its capture, as the driver says
    key: bool = True  # whether decoding can begin here
    size: int = 0  # bytes
    after_gap: bool = False  # set by the buffer: packets before it were skipped
    epoch: Epoch = field(default_factory=Epoch)  # set by the clock
