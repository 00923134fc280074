"""Counts, times and rates."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pipeline.runtime.clock import SimulatedClock
from pipeline.runtime.telemetry import WINDOW, Histogram, Ledger, Meter, Telemetry


@given(st.lists(st.integers(0, 2**43), min_size=1, max_size=200))
def test_percentiles_are_those_of_the_recorded_times_within_two_percent(times: list[int]) -> None:
    histogram = Histogram()
    for time in times:
        histogram.record(time)
    found = histogram.percentiles()
    expected = np.quantile(times, [0.50, 0.95, 0.99], method="inverted_cdf") / 1e6
    np.testing.assert_allclose([found.p50, found.p95, found.p99], expected, rtol=0.02)


def test_a_time_counts_as_often_as_it_is_said_to() -> None:
    histogram = Histogram()
    histogram.record(1_000_000, 98)
    histogram.record(5_000_000, 2)
    found = histogram.percentiles()
    assert found.p50 == found.p95 == pytest.approx(1, rel=0.02)
    assert found.p99 == pytest.approx(5, rel=0.02)


def test_nothing_recorded_has_no_percentiles() -> None:
    assert math.isnan(Histogram().percentiles().p50)


def test_times_out_of_range_fall_into_the_outermost_bins() -> None:
    histogram = Histogram()
    histogram.record(-5)
    assert histogram.percentiles().p50 == 0
    histogram = Histogram()
    histogram.record(2**60)
    assert histogram.percentiles().p50 == pytest.approx(2**44 / 1e6, rel=0.02)


def test_percentiles_since_a_snapshot_leave_out_what_was_before() -> None:
    histogram = Histogram()
    histogram.record(1_000_000, 1000)
    before = histogram.snapshot()
    histogram.record(3_000_000)
    assert histogram.percentiles(before).p50 == pytest.approx(3, rel=0.02)
    assert histogram.percentiles().p50 == pytest.approx(1, rel=0.02)


def _telemetry() -> tuple[SimulatedClock, Meter, Telemetry]:
    clock = SimulatedClock()
    meter = Meter("detect", Ledger(), Histogram())
    telemetry = Telemetry("hands", clock)
    telemetry.add(meter)
    return clock, meter, telemetry


def _second(clock: SimulatedClock, telemetry: Telemetry, frames: int) -> None:
    telemetry.frames += frames
    clock.advance(1)
    telemetry.tick()


def test_the_rate_is_of_the_last_seconds_while_running_and_of_the_whole_run_after() -> None:
    clock, _, telemetry = _telemetry()
    telemetry.start()
    for _ in range(10):
        _second(clock, telemetry, 10)
    for _ in range(WINDOW):
        _second(clock, telemetry, 30)
    assert telemetry.status("running", "", ()).rate == pytest.approx(30)
    telemetry.end()
    clock.advance(100)
    report = telemetry.status("ended", "", ())
    assert report.elapsed == 10 + WINDOW
    assert report.rate == pytest.approx((100 + 30 * WINDOW) / (10 + WINDOW))


def test_times_are_of_the_last_seconds_while_running_and_of_the_whole_run_after() -> None:
    clock, meter, telemetry = _telemetry()
    telemetry.start()
    meter.times.record(1_000_000, 1000)
    telemetry.latency.record(2_000_000, 1000)
    for _ in range(WINDOW):
        _second(clock, telemetry, 0)
    meter.times.record(5_000_000)
    telemetry.latency.record(7_000_000)
    now = telemetry.status("running", "", ())
    assert (now.stages[0].time.p50, now.latency.p50) == pytest.approx((5, 7), rel=0.02)
    report = telemetry.status("ended", "", ())
    assert (report.stages[0].time.p50, report.latency.p50) == pytest.approx((1, 2), rel=0.02)


def test_a_run_that_never_flowed_has_no_time_and_no_rate() -> None:
    clock, _, telemetry = _telemetry()
    clock.advance(3)
    status = telemetry.status("running", "", ())
    assert (status.elapsed, status.rate, status.frames) == (0, 0, 0)


def test_errors_are_counted_by_kind_and_the_first_of_each_is_told_apart() -> None:
    _, _, telemetry = _telemetry()
    assert telemetry.count_error("detect: ValueError", 1)
    assert not telemetry.count_error("detect: ValueError", 3)
    assert telemetry.count_error("detect: KeyError", 1)
    assert telemetry.status("running", "", ()).errors == {"detect: ValueError": 4, "detect: KeyError": 1}


def test_a_ledger_balances_at_every_step() -> None:
    _, meter, telemetry = _telemetry()

    def balance() -> tuple[int, int, int]:
        stage = telemetry.status("running", "", ()).stages[0]
        assert stage.received == stage.emitted + sum(stage.dropped.values()) + stage.in_flight
        return stage.received, stage.emitted, stage.in_flight

    meter.ledger.receive()
    assert balance() == (1, 0, 1)
    meter.ledger.settle(1)
    assert balance() == (1, 1, 0)
    meter.ledger.receive()
    meter.ledger.drop_in_hand("error")
    assert balance() == (2, 1, 0)
