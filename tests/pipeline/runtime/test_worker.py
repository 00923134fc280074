"""The moment at which a part is given up."""

from typing import Any

from pipeline.runtime.clock import SimulatedClock
from pipeline.runtime.telemetry import Telemetry
from pipeline.runtime.worker import Shared
from pipeline.runtime.workers import StageWorker
from stages.contract import Stage


class Nothing(Stage[Any, Any]):
    name = "nothing"

    def process(self, packet: Any) -> Any:
        return packet


def _worker() -> StageWorker:
    clock = SimulatedClock()
    return StageWorker(Nothing(), Shared(clock, Telemetry("hands", clock), False, 1))


def test_a_part_that_has_just_returned_is_not_given_up() -> None:
    worker = _worker()
    worker.since = None
    assert not worker.abandon(5)
    worker.since = 6  # and is in its next call
    assert not worker.abandon(5)
    assert not worker.abandoned


def test_a_part_that_is_given_up_has_nothing_in_hand() -> None:
    worker = _worker()
    worker.ledger.receive()
    worker.since = 5
    assert worker.abandon(5)
    assert worker.abandoned
    assert worker.ledger.in_hand == 0
    assert worker.ledger.dropped == {"abandoned": 1}
