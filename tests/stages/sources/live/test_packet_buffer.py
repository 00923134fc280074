"""What waits between the reader and the decoder, and what is skipped."""

import threading
import time
from collections.abc import Generator, Iterable

import pytest

from stages.packets import Choice
from stages.sources.live import packet_buffer
from stages.sources.live.capture_clock import CaptureClock
from stages.sources.live.packet import Packet
from stages.sources.live.packet_buffer import BEHIND, OVERFLOW, End, Item, PacketBuffer
from stages.sources.live.session import Decoded, Session


class Idle(Session):
    """A session of which only what it says of itself is used."""

    def __init__(self, *, intra: bool = False, newest_only: bool = True) -> None:
        self.intra, self.newest_only = intra, newest_only

    def packets(self) -> Generator[Packet]:
        yield from ()

    def decode(self, packet: Packet, *, hurry: bool) -> Iterable[Decoded]:
        return ()

    def close(self) -> None: ...

    def choices(self) -> tuple[Choice, ...]:
        return ()


def filled(session: Session, count: int, *, every: int = 30, timed: bool = True, size: int = 1) -> PacketBuffer:
    """A buffer with so many packets of 30 a second, and a key frame every so often."""
    buffer, clock, now = PacketBuffer(0.5), CaptureClock(), time.monotonic_ns()
    for index in range(count):
        packet = Packet(index, now, index / 30 if timed else None, key=index % every == 0, size=size)
        clock.observe(packet)
        buffer.put(session, packet)
    return buffer


def taken(buffer: PacketBuffer) -> list[int]:
    """The numbers of the packets that it gives."""
    numbers = []
    while isinstance(item := buffer.take(0), Item):
        numbers.append(item.packet.data)
    return numbers


def test_a_decoder_that_keeps_up_is_given_every_packet() -> None:
    buffer = filled(Idle(), 15, every=5)  # half a second
    assert taken(buffer) == list(range(15))
    assert not buffer.skipped


def test_a_decoder_that_is_behind_goes_on_at_the_newest_key_frame() -> None:
    buffer = filled(Idle(), 100)
    item = buffer.take(0)
    assert isinstance(item, Item)
    assert item.packet.data == 90
    assert item.packet.after_gap
    assert taken(buffer) == list(range(91, 100))
    assert buffer.skipped == {BEHIND: 90}


def test_without_a_newer_key_frame_nothing_is_skipped() -> None:
    assert taken(filled(Idle(), 100, every=1000)) == list(range(100))


def test_of_pictures_coded_by_themselves_the_newest_is_given() -> None:
    assert taken(filled(Idle(intra=True), 100, every=1)) == [99]


def test_without_stamps_more_packets_than_come_at_once_show_that_they_waited() -> None:
    assert taken(filled(Idle(intra=True), 4, every=1, timed=False)) == [0, 1, 2, 3]
    assert taken(filled(Idle(intra=True), 50, every=1, timed=False)) == [49]


def test_of_a_file_nothing_is_skipped_and_the_reader_waits() -> None:
    buffer, session = PacketBuffer(0.5), Idle(newest_only=False)
    put = 0

    def read() -> None:
        nonlocal put
        for index in range(100):
            buffer.put(session, Packet(index, time.monotonic_ns(), index / 30))
            put += 1
        buffer.end(End(session))

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.05)
    assert put <= packet_buffer._BLOCKING_PACKETS
    numbers = []
    while isinstance(item := buffer.take(1), Item):
        numbers.append(item.packet.data)
    reader.join()
    assert numbers == list(range(100))
    assert isinstance(item, End)


def test_a_reader_that_waits_is_let_go_by_closing() -> None:
    buffer, session = PacketBuffer(0.5), Idle(newest_only=False)

    def read() -> None:
        for index in range(100):
            buffer.put(session, Packet(index, 0))

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.02)
    buffer.close()
    reader.join(5)
    assert not reader.is_alive()


def test_memory_is_bounded_and_decoding_goes_on_at_a_key_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_buffer, "_MOST_BYTES", 1000)
    buffer = filled(Idle(), 95, every=30, size=100)  # ten have room
    assert taken(buffer) == [90, 91, 92, 93, 94]
    assert sum(buffer.skipped.values()) == 90
    assert set(buffer.skipped) <= {OVERFLOW, BEHIND}


def test_what_ends_a_stream_comes_after_its_packets() -> None:
    session = Idle()
    buffer = filled(session, 3)
    buffer.end(End(session))
    assert taken(buffer) == [0, 1, 2]
    assert buffer.take(0) is None


def test_what_waited_in_a_new_connection_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_buffer, "_QUIET", 0.2)  # the machine may be busy
    monkeypatch.setattr(packet_buffer, "_SETTLING", 10.0)
    buffer, session, clock = PacketBuffer(0.5), Idle(intra=True), CaptureClock()

    def read() -> None:
        for index in range(40):
            packet = Packet(index, time.monotonic_ns(), index / 30)
            clock.observe(packet)
            buffer.put(session, packet)
            time.sleep(0.001)

    reader = threading.Thread(target=read)
    reader.start()
    item = buffer.take(5)
    reader.join()
    assert isinstance(item, Item)
    assert item.packet.data == 39
