"""A source's hands as an iterator: every frame of a file, the newest of a live source, no thread left behind."""

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hamba_core.errors import BrokenSourceError, ConfigurationError, OutputError, SourceError
from pipeline import TrackedHands, load_settings, track_hands
from stages.assets import CLIP
from stages.packets import FrameResult
from stages.recording import read_recording

PATTERN = "synthetic:?width=160&height=120&fps=30&seed=4"
LIVE = f"{PATTERN}&live=1&seconds=3600"


def threads_of_runs() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hamba ")]


@pytest.fixture(autouse=True)
def no_thread_is_left(until: Callable[..., None]) -> object:
    yield
    until(lambda: not threads_of_runs())


def test_every_frame_of_a_file_comes_in_order() -> None:
    indices = [result.frame.index for result in track_hands(f"{PATTERN}&seconds=1")]
    assert indices == list(range(30))


def test_a_loop_that_ends_normally_leaves_a_report() -> None:
    tracked = track_hands(f"{PATTERN}&seconds=0.5")
    assert sum(1 for _ in tracked) == 15
    assert (tracked.report.state, tracked.report.frames) == ("ended", 15)
    assert tracked.run is not None
    assert len(tracked.run.topology.faces_right) > 0
    assert next(tracked, None) is None


def test_leaving_the_loop_ends_every_thread() -> None:
    for result in track_hands(f"{PATTERN}&seconds=3600"):
        assert threads_of_runs()
        if result.frame.index == 3:
            break
    assert not threads_of_runs()


def test_an_error_in_the_loop_ends_every_thread() -> None:
    def loop() -> None:
        for _ in track_hands(f"{PATTERN}&seconds=3600"):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        loop()
    assert not threads_of_runs()


def test_what_is_never_looped_over_starts_nothing() -> None:
    track_hands(f"{PATTERN}&seconds=1")
    tracked = track_hands(f"{PATTERN}&seconds=1")
    tracked.close()
    assert next(tracked, None) is None
    assert not threads_of_runs()


def read_so_far(tracked: TrackedHands) -> int:
    return tracked.report.stages[0].emitted


def test_a_slow_loop_is_waited_for(until: Callable[..., None]) -> None:
    capacity = 2
    settings = load_settings("offline", ["publish.address=null", f"runtime.capacity={capacity}"])
    with track_hands(f"{PATTERN}&seconds=20", settings) as tracked:
        next(tracked)
        seen = -1
        while read_so_far(tracked) != seen:  # until nothing moves
            seen = read_so_far(tracked)
            time.sleep(0.2)
        stages = tracked.report.stages
        # Before each stage as many as may wait, in its hands as many again (a batch) or one.
        assert 0 < seen <= sum(2 * stage.queue_capacity + 1 for stage in stages)
        assert max(stage.queue_capacity for stage in stages) <= 16
        dropped = [stage.dropped for stage in tracked.report.stages]
        assert not any(sum(causes.values()) for causes in dropped)


def test_a_live_source_gives_the_newest(until: Callable[..., None]) -> None:
    with track_hands(LIVE) as tracked:
        before = next(tracked).frame.index
        start = read_so_far(tracked)
        until(lambda: read_so_far(tracked) >= start + 12)  # meanwhile the loop does something else
        given = read_so_far(tracked)
        newest = next(tracked)
        # Nothing old was kept for it: only what was under way when it asked is older than the newest frame.
        assert newest.frame.index > max(before, given - 8)
        loop = next(stage for stage in tracked.report.stages if stage.name == "loop")
        assert loop.received == loop.emitted + sum(loop.dropped.values()) + loop.in_flight


def test_what_is_wrong_with_the_arguments_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.mp4"):
        track_hands("absent.mp4")
    with pytest.raises(ConfigurationError, match="did you mean max_hands"):
        track_hands(CLIP, max_hand=2)  # type: ignore[call-arg]
    (tmp_path / "hands.mcap").touch()
    with pytest.raises(OutputError, match="already holds"):
        track_hands(CLIP, out=tmp_path)


def test_a_source_that_breaks_gives_what_came_before(tmp_path: Path) -> None:
    whole = CLIP.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) * 3 // 5])
    tracked = track_hands(path)
    results: deque[FrameResult] = deque()
    with pytest.raises(BrokenSourceError, match=r"cut\.mp4"):
        results.extend(tracked)
    assert len(results) > 20
    assert tracked.report.frames == len(results)


def test_the_same_run_can_be_recorded(tmp_path: Path) -> None:
    results = list(track_hands(f"{PATTERN}&seconds=0.5", out=tmp_path / "run"))
    recorded = list(read_recording(tmp_path / "run" / "hands.mcap").results())
    assert [result.frame.index for result in recorded] == [result.frame.index for result in results]


@pytest.mark.parametrize("ending", ["", "raise ValueError('mine')", "raise KeyboardInterrupt"])
def test_a_program_that_ends_with_an_open_run_finishes_its_files(tmp_path: Path, ending: str) -> None:
    program = (
        "from pipeline import track_hands\n"
        f"tracked = track_hands({f'{PATTERN}&seconds=3600'!r}, out={str(tmp_path / 'run')!r}, estimator='landmarks')\n"
        "for result in tracked:\n"
        "    if result.frame.index == 5:\n"
        "        break\n"
        f"{ending}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.returncode in (0, 1, 130, -2), done.stderr
    assert "terminate called" not in done.stderr
    recording = read_recording(tmp_path / "run" / "hands.mcap")
    assert recording.last_status() is not None
    assert len(list(recording.results())) > 5


@pytest.mark.parametrize("source", [None, True, 1.5, ["clip.mp4"], b"clip.mp4"])
def test_what_is_no_name_of_a_source_is_refused(source: Any) -> None:
    with pytest.raises(SourceError, match=type(source).__name__):
        track_hands(source)


def test_hands_tell_which_joints_are_in_sight_and_what_they_do(short_clip: Path) -> None:
    results = list(track_hands(short_clip))
    assert all(hand.visibility is not None and hand.visibility.shape == (21,) for r in results for hand in r.hands)
    begun = {(event.side, event.kind) for result in results for event in result.events if event.phase == "start"}
    assert ("left", "open") in begun or ("right", "open") in begun
    assert not [event for result in track_hands(short_clip, events={"enabled": False}) for event in result.events]


def test_an_empty_name_of_a_folder_is_not_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="out: expected the name of a folder, found an empty one"):
        track_hands(f"{PATTERN}&seconds=0.5", out="")
    assert not list(tmp_path.iterdir())
