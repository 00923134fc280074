"""Replicas are the network on several devices: each call of `begin` goes to the next of them."""

from collections.abc import Sequence
from itertools import chain, cycle

from stages.packets import Choice
from stages.reconstruction.hamba.engine.engine import Engine
from stages.reconstruction.hamba.engine.slots import Answer, Crop


class Replicas:
    """An engine made of several engines. The caller waits for answers in the order in which it began them."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = engines
        self._turns = cycle(engines)

    @property
    def in_flight(self) -> int:
        """The number of calls that may be under way at once, on all devices together."""
        return sum(engine.in_flight for engine in self._engines)

    @property
    def largest(self) -> int:
        """The most hands in a batch that any of the devices takes."""
        return min(engine.largest for engine in self._engines)

    def begin(self, crops: Sequence[Crop]) -> Answer:
        """Start on the next device. Raises DeviceError, and so does the answer."""
        return next(self._turns).begin(crops)

    def choices(self) -> tuple[Choice, ...]:
        """Return the choices of every engine."""
        return tuple(chain.from_iterable(engine.choices() for engine in self._engines))

    def close(self) -> None:
        """Free all engines."""
        for engine in self._engines:
            engine.close()
