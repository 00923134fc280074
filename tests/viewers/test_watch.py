"""What a person at a viewer is told, and what the client knows of its publisher."""

import io
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from stages.packets import ClockAnchor, FrameResult
from viewers import client as client_module
from viewers.client import HandClient
from viewers.terminal_line import TerminalLine
from viewers.watch import Following, Watch

MakeStage = Callable[..., Any]
MakeResult = Callable[..., FrameResult]


def test_the_state_follows_the_publisher_through_its_life(
    make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_stage()
    address = first.address
    first.publisher.close()
    with HandClient(address) as client:
        watch = Watch(client)

        def state() -> str:
            return client.state

        assert state() == "waiting"
        assert watch.numbers().line() == f"waiting for a publisher at {address}"

        second = make_stage(address)

        def heard(stage: Any) -> bool:
            stage.show(make_result(0))
            return state() == "running"

        until(lambda: heard(second) and watch.numbers().hands == 2)
        assert watch.numbers().words == "running"

        second.leave("failed", "the camera was unplugged")
        until(lambda: state() == "failed")
        assert not client.alive
        words = watch.numbers().words
        assert words == f"failed (the camera was unplugged), waiting for the next at {address}"
        assert watch.numbers().hands == 0

        third = make_stage(address)
        until(lambda: heard(third))
        monkeypatch.setattr(client_module, "SILENCE", 0.05)
        until(lambda: state() == "gone")
        assert "gone without a word" in watch.numbers().words
        until(lambda: heard(third))


def test_rate_and_latency_are_of_the_last_second(
    make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
) -> None:
    stage, now = make_stage(), 100.0
    with HandClient(stage.address) as client:
        watch = Watch(client, now=lambda: now)

        def arrived() -> bool:
            stage.show(make_result(0))
            return client.latest() is not None

        until(arrived)
        for _ in range(25):
            now += 0.04
            assert client.newest is not None
            watch.shown(client.newest)
        numbers = watch.numbers()
        assert numbers.rate == pytest.approx(25)
        assert numbers.latency is not None
        assert numbers.latency > 0
        assert "25.0 frames/s" in numbers.line()
        assert "2 hands" in numbers.line()
        now += 0.5
        assert 11 <= watch.numbers().rate <= 13
        now += 1
        assert watch.numbers().rate == 0
        assert watch.numbers().latency is None


def test_the_age_of_hands_from_another_host_is_unknown(
    make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
) -> None:
    def age_of_hands_from(stage: Any) -> float | None:
        with HandClient(stage.address) as client:

            def arrived() -> bool:
                stage.show(make_result(0))
                return client.latest() is not None

            assert client.age is None
            until(arrived)
            return client.age

    # A host that was started a day before this one.
    elsewhere = ClockAnchor(time.monotonic_ns() + 86_400_000_000_000, time.time_ns())
    assert (age_of_hands_from(make_stage()) or -1) > 0
    assert age_of_hands_from(make_stage(clock=elsewhere)) is None


class TestWhatIsShownNext:
    def test_without_pictures_the_newest_hands(
        self, make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
    ) -> None:
        stage = make_stage()
        with HandClient(stage.address, images=True) as client:
            following = Following(client)

            def arrived() -> bool:
                stage.show(make_result(0))
                return following.next(0.05).hands is not None

            until(arrived)
            for _ in range(3):
                stage.show(make_result(0))
            until(lambda: client.alive and client.newest is not None and client.newest.seq == stage.index - 1)
            hands, picture = following.next(1.0)
            assert hands is client.newest
            assert picture is None
            assert following.next(0.0) == (None, None)

    def test_with_pictures_the_newest_picture_and_the_hands_of_its_frame(
        self, make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
    ) -> None:
        stage, result = make_stage(images=True), make_result(0, image=True)
        bare = replace(result, image=None)
        with HandClient(stage.address, images=True) as client:
            following = Following(client)

            def arrived() -> bool:
                stage.show(result)
                return following.next(0.05).picture is not None

            until(arrived)
            time.sleep(0.05)  # the next picture's time has come, at thirty a second
            stage.show(result)
            stage.show(bare)  # newer hands, without a picture of theirs
            until(lambda: client.alive and client.newest is not None and client.newest.seq == stage.index - 1)
            hands, picture = following.next(1.0)
            assert hands is not None
            assert picture is not None
            assert hands.result.frame.index == picture.frame.index == stage.index - 2
            stage.show(bare)
            assert following.next(0.1) == (None, None), "its picture may still come"

            def goes_on() -> bool:
                stage.show(bare)
                return following.next(0.05).hands is not None

            until(goes_on)  # pictures have stopped


class TestTerminalLine:
    def test_at_a_terminal_the_line_is_redrawn_in_place(self) -> None:
        output = io.StringIO()
        with TerminalLine(Console(file=output, force_terminal=True, width=100)) as line:
            assert line.due
            line.show("running", "running  30.0 frames/s  [brackets] stay")
            line.say("wrote [a] file")
            time.sleep(0.15)  # rich draws ten times a second
        assert "30.0 frames/s  [brackets] stay" in output.getvalue()
        assert "wrote [a] file" in output.getvalue()

    def test_elsewhere_only_new_states_are_written(self) -> None:
        output = io.StringIO()
        with TerminalLine(Console(file=output, force_terminal=False, width=100)) as line:
            for rate in range(3):
                line.show("running", f"running  {rate} frames/s")
            line.show("gone", "gone")
        assert output.getvalue() == "running\ngone\n"
