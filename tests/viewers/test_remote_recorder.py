"""The recorder as a subscriber: whole recordings of what others publish, and what was lost on the way."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamba_core.errors import OutputError
from stages.packets import ClockAnchor, FrameResult
from stages.recording import read_recording
from viewers.client import HandClient
from viewers.remote_recorder import RemoteRecorder, RemoteRecording

MakeStage = Callable[..., Any]
MakeResult = Callable[..., FrameResult]
Until = Callable[..., None]


class Recording:
    """A recorder at work in a thread of its own, which alone touches its client."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.going = True
        self.frames = 0
        self.alive = False
        self.done: list[RemoteRecording] = []
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self) -> None:
        with HandClient(self.address) as client:

            def go_on(recorder: RemoteRecorder) -> bool:
                self.frames, self.alive = recorder.frames, client.model is not None
                return self.going

            try:
                for recording in RemoteRecorder(client, self.folder, go_on).run():
                    self.done.append(recording)
            except OutputError as error:
                self.error = error

    def stop(self) -> list[RemoteRecording]:
        self.going = False
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.done


@pytest.fixture
def record(tmp_path: Path, until: Until) -> Any:
    def start(stage: Any) -> Recording:
        recording = Recording(stage.address, tmp_path)

        def joined() -> bool:
            stage.say()
            return recording.alive

        until(joined)
        return recording

    return start


def show(stage: Any, recording: Recording, make_result: MakeResult, until: Until, count: int) -> None:
    """Publish so many frames and wait until they are recorded."""
    wanted = recording.frames + count
    for index in range(count):
        stage.show(make_result(index))
    until(lambda: recording.frames == wanted)


def test_everything_published_is_in_the_recording_and_the_report(
    make_stage: MakeStage, make_result: MakeResult, record: Any, until: Until
) -> None:
    stage = make_stage()
    recording = record(stage)
    show(stage, recording, make_result, until, 40)
    stage.leave("ended")
    recording.thread.join(20)
    [done] = recording.stop()
    assert (done.status.state, done.status.frames, done.status.frames_with_hands) == ("ended", 40, 40)
    receive, written = done.status.stages
    assert (receive.received, receive.emitted, dict(receive.dropped)) == (40, 40, {"lost": 0})
    assert (written.received, written.emitted) == (40, 40)
    back = read_recording(done.path)
    results = list(back.results())
    assert [result.frame.index for result in results] == list(range(40))
    np.testing.assert_array_equal(results[7].hands[1].vertices, make_result(7).hands[1].vertices)
    assert back.topology.vertices == make_result(0).hands[0].vertices.shape[0]
    status = back.last_status()
    assert status is not None
    assert (status.state, status.frames) == ("ended", 40)


def test_what_was_lost_on_the_way_is_in_the_report(
    make_stage: MakeStage, make_result: MakeResult, record: Any, until: Until
) -> None:
    stage = make_stage()
    recording = record(stage)
    show(stage, recording, make_result, until, 5)
    stage.publisher._seq += 7  # as if so many had been thrown away for a full queue
    show(stage, recording, make_result, until, 5)
    [done] = recording.stop()
    assert done.status.state == "stopped"
    receive = done.status.stages[0]
    assert (receive.received, receive.emitted, dict(receive.dropped)) == (17, 10, {"lost": 7})
    status = read_recording(done.path).last_status()
    assert status is not None
    assert status.stages[0].dropped == {"lost": 7}


def test_times_are_those_of_the_capture(
    make_stage: MakeStage, make_result: MakeResult, record: Any, until: Until
) -> None:
    stage = make_stage()
    recording = record(stage)
    before = time.time_ns()
    show(stage, recording, make_result, until, 3)
    after = time.time_ns()
    [done] = recording.stop()
    times = [recorded.log_time for recorded in read_recording(done.path).messages(["hands"])]
    assert before - 50_000_000 <= times[0] < times[1] < times[2] <= after + 50_000_000


def test_a_run_that_takes_the_place_of_another_gets_a_file_of_its_own(
    make_stage: MakeStage, make_result: MakeResult, record: Any, until: Until
) -> None:
    first = make_stage()
    recording = record(first)
    show(first, recording, make_result, until, 4)
    first.publisher.close()  # without a word
    second = make_stage(first.address)
    until(lambda: bool(recording.done) or second.show(make_result(0)))
    until(lambda: recording.frames > 0)
    done = recording.stop()
    assert [one.path.name for one in done] == ["hands.mcap", "hands-2.mcap"]
    assert [one.status.state for one in done] == ["failed", "stopped"]
    assert "started anew" in done[0].status.reason
    assert len(list(read_recording(done[0].path).results())) == 4
    assert len(list(read_recording(done[1].path).results())) == done[1].status.frames > 0


def test_nothing_published_leaves_no_file(make_stage: MakeStage, record: Any, tmp_path: Path) -> None:
    recording = record(make_stage())
    assert recording.stop() == []
    assert list(tmp_path.iterdir()) == []


def test_hands_of_a_publisher_on_another_host_are_dated_by_its_clock(
    make_stage: MakeStage, make_result: MakeResult, record: Any, until: Until
) -> None:
    elsewhere = ClockAnchor(time.monotonic_ns(), 1_900_000_000_000_000_000)
    stage = make_stage(clock=elsewhere)
    recording = record(stage)
    show(stage, recording, make_result, until, 2)
    [done] = recording.stop()
    first = next(read_recording(done.path).messages(["hands"]))
    assert abs(first.log_time - elsewhere.unix_ns) < 60e9


def show_by_other_clocks(stage: Any, recording: Recording, make_result: MakeResult, count: int) -> list[int]:
    """Publish so many frames, each by a clock of its own; return when they are said to be captured, ns since 1970."""
    said, before = [], stage.run.clock
    for index in range(count):
        clock = ClockAnchor(time.monotonic_ns(), before.unix_ns + index * 10_000_000_000)
        stage.publisher._run = replace(stage.run, clock=clock)
        stage.show(make_result(index))
        said.append(clock.unix_ns)
    return said


def test_a_publisher_whose_clock_changes_with_every_message_gets_one_file(
    make_stage: MakeStage, make_result: MakeResult, record: Any, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    stage = make_stage()
    recording = record(stage)
    show(stage, recording, make_result, until, 2)
    said = show_by_other_clocks(stage, recording, make_result, 20)
    until(lambda: recording.frames == 22)
    stage.publisher._seq += 3
    show(stage, recording, make_result, until, 2)
    [done] = recording.stop()
    assert done.status.frames == 24
    assert dict(done.status.stages[0].dropped) == {"lost": 3}
    [told] = [choice for choice in done.status.choices if choice.subject == "clock"]
    assert told.chosen == "changed 20 times"
    assert told.fallback
    assert caplog.text.count("another clock") == 1
    back = read_recording(done.path)
    assert len(list(back.results())) == 24
    times = [recorded.log_time for recorded in back.messages(["hands"])][2:22]
    assert times == pytest.approx(said, abs=1e9)


def test_a_publisher_that_begins_anew_with_every_message_gets_few_files(
    make_stage: MakeStage, make_result: MakeResult, record: Any, until: Until
) -> None:
    stage = make_stage()
    recording = record(stage)
    show(stage, recording, make_result, until, 1)
    for index in range(30):
        stage.publisher._seq = 0
        show_by_other_clocks(stage, recording, make_result, 1)
        until(lambda index=index: sum(one.status.frames for one in recording.done) + recording.frames == index + 2)
    done = recording.stop()
    assert len(done) <= 6
    assert sum(one.status.frames for one in done) == 31
