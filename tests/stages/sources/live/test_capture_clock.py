"""When pictures were taken, from stamps, arrivals, sender reports and drivers."""

import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from stages.sources.live.capture_clock import ARRIVAL, DRIVER, SENDER, STREAM, CaptureClock, captured
from stages.sources.live.packet import Packet

S = 10**9
STEP = S // 30


def observed(clock: CaptureClock, arrived_ns: int, stamp: float | None, **more: Any) -> Packet:
    packet = Packet(None, arrived_ns, stamp, **more)
    clock.observe(packet)
    return packet


def test_without_stamps_a_picture_was_taken_when_it_arrived() -> None:
    packet = observed(CaptureClock(), 5 * S, None)
    assert captured(packet, None) == (5 * S, ARRIVAL)


def test_a_drivers_time_is_taken_as_it_is() -> None:
    packet = observed(CaptureClock(), 5 * S, 4.97, taken_ns=round(4.97 * S))
    assert captured(packet, 4.97) == (round(4.97 * S), DRIVER)


def test_packets_that_waited_are_as_old_as_their_stamps_say() -> None:
    clock = CaptureClock()
    for index in range(10):
        observed(clock, 100 * S + index * STEP, 7 + index / 30)
    held_up = [observed(clock, 110 * S, 7 + index / 30) for index in range(10, 300)]
    for index, packet in enumerate(held_up, 10):
        taken_ns, how = captured(packet, packet.stamp)
        assert how == STREAM
        assert taken_ns == pytest.approx(100 * S + index * STEP, abs=6_000_000)  # and what ten seconds of drift allow


def test_the_first_packets_of_a_burst_are_dated_by_those_that_come_after_them() -> None:
    clock = CaptureClock()
    burst = [observed(clock, 100 * S, index / 30) for index in range(30)]
    assert captured(burst[-1], burst[-1].stamp)[0] == 100 * S
    assert captured(burst[0], burst[0].stamp)[0] == pytest.approx(100 * S - 29 * STEP, abs=100)


@given(st.lists(st.floats(0, 0.9), min_size=2, max_size=60), st.floats(-1e4, 1e4))
def test_no_picture_is_dated_after_its_arrival_nor_before_the_delay_of_the_soonest(
    delays: list[float], origin: float
) -> None:
    clock = CaptureClock()
    packets = []
    arrived = 50.0
    for index, delay in enumerate(delays):
        taken = 50 + index * 0.5
        arrived = max(arrived, taken + delay)
        packets.append((taken, observed(clock, round(arrived * S), origin + taken)))
    soonest = min(packet.arrived_ns / S - taken for taken, packet in packets)
    for taken, packet in packets:
        found = captured(packet, packet.stamp)[0] / S
        assert found <= packet.arrived_ns / S + 1e-6
        assert found >= taken - 1e-3
        assert found <= taken + soonest + 60 * 0.5 * 5e-4 + 1e-3


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 2.5, -2.5])
def test_a_clock_that_jumps_begins_anew(jump: float) -> None:
    clock = CaptureClock()
    for index in range(30):
        before = observed(clock, 100 * S + index * STEP, index / 30)
    after = observed(clock, 100 * S + 30 * STEP, jump + 1.0)
    assert clock.jumps == 1
    assert before.epoch is not after.epoch
    assert captured(after, after.stamp)[0] == 100 * S + 30 * STEP


def test_packets_that_were_lost_are_no_jump() -> None:
    clock = CaptureClock()
    observed(clock, 100 * S, 0.0)
    observed(clock, 110 * S, 0.1)  # it waited for ten seconds, and those after it were lost
    late = observed(clock, 110 * S + 1, 10.0)
    assert clock.jumps == 0
    assert captured(late, 10.0)[0] == pytest.approx(110 * S, abs=S / 100)


def test_a_slow_clock_is_followed() -> None:
    clock = CaptureClock()
    for index in range(30 * 600):  # ten minutes, 0.02 % slow
        packet = observed(clock, 100 * S + index * STEP, index / 30 * 0.9998)
    assert packet.arrived_ns - captured(packet, packet.stamp)[0] < S / 1000


def wall_of(monotonic_ns: int) -> int:
    return monotonic_ns + time.time_ns() - time.monotonic_ns()


def test_a_senders_clock_that_agrees_with_ours_is_believed() -> None:
    clock, now = CaptureClock(), time.monotonic_ns()
    packet = observed(clock, now, 3.0, wall_ns=wall_of(now - S // 20))
    taken_ns, how = captured(packet, 3.0)
    assert how == SENDER
    assert now - taken_ns == pytest.approx(S // 20, abs=S / 100)
    later = observed(clock, now + STEP, 3.0 + 1 / 30)  # without a report of its own
    assert captured(later, later.stamp)[1] == SENDER


@pytest.mark.parametrize("off", [3600, -3600, 2.5, -0.1])
def test_a_senders_clock_that_cannot_be_right_is_not_believed(off: float) -> None:
    now = time.monotonic_ns()
    packet = observed(CaptureClock(), now, 3.0, wall_ns=wall_of(now) - round(off * S))
    assert captured(packet, 3.0) == (now, STREAM)
