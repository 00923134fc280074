"""The reader that cameras and streams share, on sessions that do what the tests tell them."""

import threading
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np
import pytest

from hamba_core.errors import BrokenSourceError, SourceError
from stages.packets import Choice, Frame
from stages.sources import SourceSettings
from stages.sources.live.live_source import LiveSource
from stages.sources.live.packet import Packet
from stages.sources.live.session import Decoded, Picture, PictureSession
from stages.sources.settings import LiveSettings

IMAGE = np.zeros((32, 48, 3), np.uint8)
STEP = 0.01  # s between pictures
Play = Callable[["Fake"], Generator[Picture]]


class Fake(PictureSession):
    """A session whose pictures are a function's."""

    def __init__(self, play: Play, live: bool = True) -> None:
        self.play = play
        self.live = live
        self.rate = 1 / STEP
        self.newest_only = live
        self.closed = threading.Event()
        self.opened_in = threading.current_thread()

    def pictures(self) -> Generator[Picture]:
        yield from self.play(self)

    def close(self) -> None:
        assert threading.current_thread() is self.opened_in
        self.closed.set()

    def choices(self) -> tuple[Choice, ...]:
        return (Choice("camera", "fake", "a test"),)


def some(count: int, start: float = 0.0) -> Play:
    def play(_: Fake) -> Generator[Picture]:
        for index in range(count):
            yield Picture(IMAGE, start + index * STEP, time.monotonic_ns())
            time.sleep(STEP)

    return play


def some_then_drop(count: int, start: float = 0.0) -> Play:
    def play(fake: Fake) -> Generator[Picture]:
        yield from some(count, start)(fake)
        raise SourceError("the cable was pulled")

    return play


def silent_after(count: int) -> Play:
    def play(fake: Fake) -> Generator[Picture]:
        yield from some(count)(fake)
        fake.closed.wait(60)  # a foreign call that hears nothing, until the test lets it go

    return play


class Port:
    """Gives one session after another; what is an error is raised."""

    def __init__(self, *sessions: Fake | Exception) -> None:
        self.sessions = list(sessions)
        self.asked = 0

    def __call__(self) -> Fake:
        self.asked += 1
        session = self.sessions.pop(0) if len(self.sessions) > 1 else self.sessions[0]
        if isinstance(session, Exception):
            raise session
        session.opened_in = threading.current_thread()
        session.closed.clear()
        return session


QUICK = SourceSettings(live=LiveSettings(open_timeout=0.2, read_timeout=0.2, reconnect_timeout=0.6))


def source_of(*sessions: Fake | Exception, settings: SourceSettings = QUICK) -> LiveSource:
    return LiveSource("cam", "camera", Port(*sessions), settings, "hands")


def taken(source: LiveSource, count: int) -> list[Frame]:
    """So many frames, after `open`."""
    frames: list[Frame] = []
    for frame in source.frames():
        if frame is not None:
            frames.append(frame)
        if len(frames) == count:
            break
    return frames


def test_pictures_become_frames_in_order() -> None:
    fake = Fake(some(1000))
    source = source_of(fake)
    info = source.open()
    assert (info.name, info.kind, info.live, info.width, info.height, info.fps) == (
        "cam",
        "camera",
        True,
        48,
        32,
        1 / STEP,
    )
    frames = taken(source, 20)
    source.close()
    assert [frame.meta.index for frame in frames] == list(range(20))
    assert [frame.meta.pts for frame in frames] == pytest.approx([index * STEP for index in range(20)])
    assert fake.closed.is_set()


def test_while_nothing_comes_it_says_so() -> None:
    fake = Fake(silent_after(1))
    source = source_of(fake)
    source.open()
    frames = source.frames()
    assert next(frames) is not None
    assert next(frames) is None
    assert next(frames) is None
    fake.closed.set()
    source.close()


def test_closing_does_not_wait_for_a_foreign_call() -> None:
    fake = Fake(silent_after(1))
    source = source_of(fake)
    source.open()
    reader = next(thread for thread in threading.enumerate() if thread.name == "reader of cam")
    source.close()
    assert reader.is_alive()
    assert reader.daemon
    fake.closed.set()
    reader.join(10)
    assert not reader.is_alive()


def test_closing_ends_the_reader_at_whatever_it_is() -> None:
    for fake in (Fake(some(10_000)), Fake(some(1)), Fake(some_then_drop(3))):
        source = source_of(fake)
        source.open()
        source.close()
        source.close()
        assert not any(thread.name == "reader of cam" for thread in threading.enumerate())
        assert fake.closed.is_set()


def test_a_source_that_was_never_opened_closes() -> None:
    source_of(Fake(some(1))).close()


def test_a_reader_of_a_file_that_is_ahead_waits_and_drops_nothing() -> None:
    given = 0

    def play(_: Fake) -> Generator[Picture]:
        nonlocal given
        for index in range(100):
            given += 1
            yield Picture(IMAGE, index / 25, time.monotonic_ns())

    source = source_of(Fake(play, live=False))
    source.open()
    frames = source.frames()
    next(frames)
    time.sleep(0.05)
    assert given <= 12
    assert sum(frame is not None for frame in frames) == 99
    source.close()


def test_what_cannot_be_opened_fails_at_once_and_is_not_tried_again() -> None:
    port = Port(SourceError("no such camera"))
    source = LiveSource("cam", "camera", port, QUICK, "hands")
    with pytest.raises(SourceError, match="no such camera"):
        source.open()
    source.close()
    assert port.asked == 1


def test_one_that_opens_and_gives_nothing_fails_in_time() -> None:
    fake = Fake(silent_after(0))
    source = source_of(fake)
    with pytest.raises(SourceError, match="expected a picture within"):
        source.open()
    fake.closed.set()
    source.close()


def test_one_that_ends_before_its_first_picture_fails() -> None:
    source = source_of(Fake(some(0), live=False))
    with pytest.raises(SourceError, match="ended before its first"):
        source.open()
    source.close()


def test_what_drops_is_opened_again_and_time_goes_on() -> None:
    back = Fake(some(1000, start=77.0))
    source = source_of(Fake(some_then_drop(3, start=500.0)), SourceError("not yet"), back)
    source.open()
    frames = taken(source, 8)
    times = [frame.meta.pts for frame in frames]
    assert times[:3] == pytest.approx([0, STEP, 2 * STEP])
    assert times[3] > times[2]
    assert times[3] == pytest.approx((frames[3].meta.captured_ns - frames[0].meta.captured_ns) / 1e9, abs=0.05)
    assert np.diff(times[3:]) == pytest.approx([STEP] * 4)
    assert [frame.meta.index for frame in frames] == list(range(8))
    choice = next(choice for choice in source.choices() if choice.subject == "connection")
    assert choice.fallback
    assert "once" in choice.chosen
    source.close()


def test_a_stream_that_ends_is_opened_again_too() -> None:
    source = source_of(Fake(some(2)), Fake(some(1000)))
    source.open()
    assert len(taken(source, 5)) == 5
    source.close()


def test_a_file_at_an_address_ends() -> None:
    port = Port(Fake(some(4), live=False))
    source = LiveSource("url", "network", port, QUICK, "hands")
    assert not source.open().live
    assert sum(frame is not None for frame in source.frames()) == 4
    source.close()
    assert port.asked == 1


@pytest.mark.parametrize("live", [True, False])
def test_without_reconnection_a_drop_breaks_the_source(live: bool) -> None:
    settings = SourceSettings(live=LiveSettings(reconnect=not live, read_timeout=0.2))
    source = source_of(Fake(some_then_drop(4), live=live), settings=settings)
    source.open()
    frames: list[Frame | None] = []
    with pytest.raises(BrokenSourceError, match=r"cable was pulled; 4 frames, up to 0\.03 s"):
        frames.extend(source.frames())
    assert sum(frame is not None for frame in frames) == 4
    source.close()


def test_what_does_not_come_back_is_given_up() -> None:
    source = source_of(Fake(some_then_drop(2)), SourceError("still gone"))
    source.open()
    with pytest.raises(BrokenSourceError, match="still gone"):
        list(source.frames())
    source.close()


def test_what_comes_back_without_a_picture_is_given_up() -> None:
    source = source_of(Fake(some_then_drop(2)), Fake(some_then_drop(0)))
    source.open()
    with pytest.raises(BrokenSourceError, match="stopped giving pictures"):
        list(source.frames())
    source.close()


def test_a_defect_in_a_session_comes_out_as_it_is() -> None:
    def play(_: Fake) -> Generator[Picture]:
        yield Picture(IMAGE, 0.0, time.monotonic_ns())
        raise ZeroDivisionError("a defect")

    source = source_of(Fake(play))
    source.open()
    with pytest.raises(ZeroDivisionError, match="a defect"):
        list(source.frames())
    source.close()


def test_a_source_whose_frames_are_replaced_is_in_a_hurry_until_one_is_taken() -> None:
    class Noted(Fake):
        def __init__(self, play: Play, live: bool) -> None:
            super().__init__(play, live)
            self.hurries: list[bool] = []

        def decode(self, packet: Packet, *, hurry: bool) -> Iterator[Decoded]:
            self.hurries.append(hurry)
            return super().decode(packet, hurry=hurry)

    fake = Noted(some(1000), live=False)  # so that none is late
    source = source_of(fake)
    source.open()
    frames = source.frames()
    for _ in range(15):
        next(frame for frame in frames if frame is not None)
        source.outpaced(True)
    in_time, late = fake.hurries[:4], fake.hurries[-3:]
    for _ in range(3):
        source.outpaced(False)
    next(frame for frame in frames if frame is not None)
    assert (any(in_time), all(late), fake.hurries[-1]) == (False, True, False)
    source.close()


def test_a_first_picture_that_cannot_be_made_is_an_error_at_once() -> None:
    class TooLarge(Fake):
        def decode(self, packet: Packet, *, hurry: bool) -> Iterator[Decoded]:
            raise SourceError("pictures of 100000x100000")

    source = source_of(TooLarge(some(1000)))
    with pytest.raises(SourceError, match="cam: expected a stream, found pictures of 100000x100000"):
        source.open()
    source.close()


def test_pictures_that_cannot_be_made_any_more_have_it_opened_again() -> None:
    class Broken(Fake):
        left = 3

        def decode(self, packet: Packet, *, hurry: bool) -> Iterator[Decoded]:
            self.left -= 1
            if self.left < 0:
                raise SourceError("pictures of 100000x100000")
            return super().decode(packet, hurry=hurry)

    source = source_of(Broken(some(1000)), Fake(some(1000)))
    source.open()
    assert len(taken(source, 6)) == 6
    status = source.status()
    assert status is not None
    assert status.counts["reconnections"] == 1
    source.close()


def test_capture_times_never_go_back() -> None:
    def play(_: Fake) -> Generator[Picture]:
        now = time.monotonic_ns()
        for age in (0, 10**9, 5 * 10**8):
            yield Picture(IMAGE, None, now - age)

    source = source_of(Fake(play, live=False))
    source.open()
    stamps = [frame.meta.captured_ns for frame in source.frames() if frame]
    assert stamps == sorted(stamps)
    source.close()
