"""Channel policies, on a simulated clock; and that no wake-up is lost between real threads."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pipeline.runtime.channel import Channel
from pipeline.runtime.clock import SimulatedClock
from pipeline.runtime.drops import ABANDONED, DISCARDED, OUTDATED, REPLACED
from pipeline.runtime.telemetry import Ledger

PATIENCE = 30.0


@dataclass
class Packet:
    number: int
    captured_ns: int = 0


class Rigged:
    """A channel, its ledger and its clock."""

    def __init__(self, policy: Any, capacity: int, **options: Any) -> None:
        self.clock, self.ledger = SimulatedClock(), Ledger()
        self.channel = Channel[Packet](self.ledger, policy, capacity, clock=self.clock, **options)

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.channel.put(Packet(number, self.clock.now_ns()))

    def take(self, most: int = 1) -> list[int] | None:
        """Numbers taken; those taken before count as passed on."""
        packets = self.channel.take(most, self.ledger.in_hand)
        return packets if packets is None else [packet.number for packet in packets]

    def balanced(self) -> bool:
        book = self.ledger
        return book.received == book.emitted + book.dropped.total() + book.in_hand + book.waiting


def _waits(action: Callable[[], object]) -> threading.Thread:
    """Do something in a thread, which must find itself waiting."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    return thread


def _returns(thread: threading.Thread) -> None:
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_latest_gives_the_newest_and_counts_the_others() -> None:
    rigged = Rigged("latest", 1)
    rigged.put(1, 2, 3)
    assert rigged.take() == [3]
    assert rigged.ledger.dropped == {REPLACED: 2}
    assert rigged.balanced()


def test_latest_with_room_for_more_drops_the_oldest() -> None:
    rigged = Rigged("latest", 3)
    rigged.put(1, 2, 3, 4, 5)
    assert rigged.take(5) == [3, 4, 5]
    assert rigged.ledger.dropped == {REPLACED: 2}
    assert rigged.ledger.peak == 3


def test_block_makes_the_producer_wait_and_loses_nothing() -> None:
    rigged = Rigged("block", 2)
    rigged.put(1, 2)
    producer = _waits(lambda: rigged.put(3))
    assert rigged.ledger.received == 2  # what waits to be put is still the producer's
    assert rigged.take() == [1]
    _returns(producer)
    assert rigged.take(5) == [2, 3]
    assert not rigged.ledger.dropped
    assert rigged.balanced()


def test_take_gives_what_waits_and_never_waits_for_more() -> None:
    rigged = Rigged("block", 8)
    rigged.put(1, 2, 3)
    assert rigged.take(2) == [1, 2]
    assert rigged.take(8) == [3]


def test_a_packet_that_is_too_old_is_dropped_if_a_newer_one_waits() -> None:
    rigged = Rigged("block", 4, max_age_ns=1_000_000_000)
    rigged.put(1, 2)
    rigged.clock.advance(0.6)
    rigged.put(3)
    rigged.clock.advance(0.6)
    assert rigged.take() == [3]
    assert rigged.ledger.dropped == {OUTDATED: 2}
    assert rigged.balanced()


def test_the_newest_packet_is_given_however_old_it_is() -> None:
    rigged = Rigged("block", 4, max_age_ns=1_000_000_000)
    rigged.put(1, 2)
    rigged.clock.advance(60)
    assert rigged.take() == [2]


def test_a_packet_at_the_age_limit_is_kept() -> None:
    rigged = Rigged("block", 4, max_age_ns=1_000_000_000)
    rigged.put(1, 2)
    rigged.clock.advance(1)
    assert rigged.take() == [1]


def test_a_window_holds_packets_back_until_others_have_left_and_then_gives_the_newest() -> None:
    rigged = Rigged("latest", 1, window=2)
    rigged.put(1)
    assert rigged.take() == [1]
    rigged.put(2)
    assert rigged.take() == [2]
    rigged.put(3)
    taken: list[list[int] | None] = []
    consumer = _waits(lambda: taken.append(rigged.take()))
    rigged.put(4)
    rigged.channel.leave(1)
    _returns(consumer)
    assert taken == [[4]]
    assert rigged.ledger.dropped == {REPLACED: 1}


def test_a_window_limits_how_many_are_taken_at_once() -> None:
    rigged = Rigged("latest", 8, window=3)
    rigged.put(1, 2, 3, 4)
    assert rigged.take(8) == [1, 2, 3]


def test_what_waits_behind_a_window_is_still_given_after_the_end() -> None:
    rigged = Rigged("latest", 1, window=1)
    rigged.put(1)
    assert rigged.take() == [1]
    rigged.put(2)
    rigged.channel.close()
    taken: list[list[int] | None] = []
    consumer = _waits(lambda: taken.append(rigged.take()))
    rigged.channel.leave(1)
    _returns(consumer)
    assert taken == [[2]]
    assert rigged.take() is None


def test_the_entrance_is_told_of_packets_that_age_further_down() -> None:
    entrance = Rigged("latest", 8, window=2)
    further = Rigged("block", 2, max_age_ns=1_000_000_000, entrance=entrance.channel)
    entrance.put(1, 2, 3)
    assert entrance.take(8) == [1, 2]
    further.put(1, 2)
    further.clock.advance(2)
    assert further.take() == [2]
    assert entrance.take() == [3]  # would wait if the first one still counted


def test_after_close_what_waits_is_given_and_then_none() -> None:
    rigged = Rigged("block", 4)
    rigged.put(1)
    rigged.channel.close()
    assert rigged.take() == [1]
    assert rigged.take() is None
    assert rigged.take() is None


@pytest.mark.parametrize("end", ["close", "abort"])
def test_the_end_wakes_a_waiting_consumer(end: str) -> None:
    rigged = Rigged("block", 4)
    taken: list[list[int] | None] = []
    consumer = _waits(lambda: taken.append(rigged.take()))
    rigged.channel.close() if end == "close" else rigged.channel.abort(DISCARDED)
    _returns(consumer)
    assert taken == [None]


def test_abort_drops_what_waits_and_what_is_put_later_under_its_first_cause() -> None:
    rigged = Rigged("block", 2)
    rigged.put(1, 2)
    producer = _waits(lambda: rigged.put(3))
    rigged.channel.abort(ABANDONED)
    rigged.channel.abort(DISCARDED)
    _returns(producer)
    rigged.put(4)
    assert rigged.take() is None
    assert rigged.ledger.dropped == {ABANDONED: 4}
    assert rigged.balanced()


def test_a_nudge_makes_take_return_empty_once() -> None:
    rigged = Rigged("block", 2)
    rigged.channel.nudge()
    assert rigged.take() == []
    taken: list[list[int] | None] = []
    consumer = _waits(lambda: taken.append(rigged.take()))
    rigged.channel.nudge()
    _returns(consumer)
    assert taken == [[]]
    rigged.put(1)
    assert rigged.take() == [1]


OPERATIONS = st.lists(
    st.one_of(
        st.just(("put", 0)),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("leave"), st.integers(1, 3)),
        st.tuples(st.just("advance"), st.integers(1, 20)),
    ),
    max_size=60,
)


@given(
    OPERATIONS,
    st.integers(1, 4),
    st.one_of(st.none(), st.integers(1, 4)),
    st.one_of(st.none(), st.integers(1, 10)),
)
def test_latest_keeps_order_and_balance_whatever_is_done(
    operations: list[tuple[str, int]], capacity: int, window: int | None, max_age: int | None
) -> None:
    max_age_ns = None if max_age is None else max_age * 1_000_000_000
    rigged = Rigged("latest", capacity, window=window, max_age_ns=max_age_ns)
    taken: list[int] = []
    puts = left = 0
    for operation, number in operations:
        if operation == "put":
            rigged.put(puts)
            puts += 1
        elif operation == "advance":
            rigged.clock.advance(number)
        elif operation == "leave" and len(taken) - left >= number:
            rigged.channel.leave(number)
            left += number
        elif operation == "take" and rigged.ledger.waiting and (window is None or len(taken) - left < window):
            newest_waits = rigged.ledger.waiting <= number
            got = rigged.take(number)
            assert got
            assert len(got) <= number
            taken += got
            if newest_waits and window is None:
                assert taken[-1] == puts - 1
        assert rigged.balanced()
        assert rigged.ledger.waiting <= capacity
        assert window is None or len(taken) - left <= window
    assert rigged.ledger.received == puts
    assert all(earlier < later for earlier, later in pairwise(taken))


@pytest.mark.parametrize("capacity", [1, 2, 3, 7])
@pytest.mark.parametrize("most", [1, 3])
def test_no_wake_up_is_lost_between_threads(capacity: int, most: int) -> None:
    rigged, count = Rigged("block", capacity), 5000
    pause = random.Random(capacity)

    def produce() -> None:
        for number in range(count):
            rigged.put(number)
            if pause.random() < 0.02:
                rigged.channel.nudge()
        rigged.channel.close()

    producer = threading.Thread(target=produce, daemon=True)
    taken: list[int] = []
    done = threading.Event()

    def consume() -> None:
        while (got := rigged.take(most)) is not None:
            taken.extend(got)
        done.set()

    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    producer.start()
    assert done.wait(PATIENCE)
    _returns(producer)
    _returns(consumer)
    assert taken == list(range(count))
    assert rigged.balanced()
    assert rigged.ledger.peak <= capacity


def test_no_wake_up_is_lost_at_a_window() -> None:
    rigged, count = Rigged("latest", 1, window=2), 5000
    taken: list[int] = []
    done = threading.Event()
    to_leave = threading.Semaphore(0)

    def consume() -> None:
        while (got := rigged.take()) is not None:
            taken.extend(got)
            to_leave.release()
        done.set()

    def leave() -> None:
        while to_leave.acquire(timeout=PATIENCE):
            rigged.channel.leave(1)
            if done.is_set():
                return

    threads = [threading.Thread(target=work, daemon=True) for work in (consume, leave)]
    for thread in threads:
        thread.start()
    rigged.put(*range(count))
    rigged.channel.close()
    assert done.wait(PATIENCE)
    to_leave.release()
    for thread in threads:
        _returns(thread)
    assert taken[-1] == count - 1
    assert taken == sorted(set(taken))
    assert rigged.balanced()
