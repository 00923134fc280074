"""The benchmark of publishing runs and its numbers hang together. How good they are is not a test's to say."""

from math import isfinite

from pipeline.benchmarks.publishing import measure_publishing
from stages.packets import Percentiles


def test_every_phase_gives_numbers() -> None:
    phases: list[str] = []
    numbers = measure_publishing(rate=60, seconds=1.0, stalled_seconds=1.0, clients=5, on_phase=phases.append)
    assert len(phases) == 5
    assert numbers.message_bytes > 2 * numbers.clients * 778, "two hands of 778 vertices"
    for percentiles in (
        numbers.latency, numbers.slow_reader_behind, numbers.publish, numbers.publish_stalled,
        numbers.latency_stalled, numbers.latency_clients,
    ):  # fmt: skip
        assert isinstance(percentiles, Percentiles)
        assert 0 < percentiles.p50 <= percentiles.p95 <= percentiles.p99
    assert numbers.slow_reader_worst >= numbers.slow_reader_behind.p99
    assert isfinite(numbers.resumed_seconds)
    assert numbers.resumed_seconds > 0, "a client that was there resumed by itself"
