"""A recording at a glance, and its timeline."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.common.palette import hand_colour
from stages.packets import FrameResult, Hand, Percentiles, RunInfo, Status
from stages.recording import Recorder, mcap_file
from stages.recording.overview import Overview, mean_of, read_overview
from stages.recording.timeline_plot import plot_timeline

MakeHand = Callable[..., Hand]
MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]
Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path, make_run: MakeRun) -> Record:
    """record(results, state) -> file; without a state it is as after a kill."""

    def make(results: list[FrameResult], state: str | None = "ended", *, name: str = "clip.mp4") -> Path:
        run = make_run()
        path = tmp_path / "hands.mcap"
        recorder = Recorder(path)
        recorder.open(replace(run, source=replace(run.source, name=name)))
        for result in results:
            recorder.write(result)
        if state:
            nothing = Percentiles(math.nan, math.nan, math.nan)
            recorder.status(Status("hands", state, "", 1.0, len(results), 0, 30.0, nothing, (), (), {}))
        recorder.close()
        return path

    return make


@pytest.fixture
def moving(make_hand: MakeHand, make_result: MakeResult) -> list[FrameResult]:
    """60 frames at 30 frames/s: a right hand that moves at 0.3 m/s; a left one that is away in frames 20 to 39."""
    frames = []
    for i in range(60):
        hands = [make_hand(0, "right", 1, (0.01 * i, 0.05, 0.5), vertices=False)]
        if not 20 <= i < 40:
            hands.append(make_hand(1, "left", 2, (-0.1, 0.05, 0.5), vertices=False))
        frames.append(make_result(i, tuple(hands)))
    return frames


def test_tracks_have_their_times_scores_and_speeds(record: Record, moving: list[FrameResult]) -> None:
    overview = read_overview(record(moving))
    right, left = overview.tracks
    assert [(track.id, track.side, track.frames) for track in (right, left)] == [(1, "right", 60), (2, "left", 40)]
    assert right.first_pts == 0
    assert right.last_pts == pytest.approx(59 / 30)
    assert mean_of(right.scores) == pytest.approx(moving[0].hands[0].score)
    assert mean_of(right.speeds) == pytest.approx(0.3, rel=1e-3)
    speeds = left.speeds.arrays()[1]
    assert np.flatnonzero(np.isnan(speeds)).tolist() == [0, 20], "it has none where it comes, and where it comes back"


def test_frames_are_counted_and_those_that_are_missing_too(record: Record, moving: list[FrameResult]) -> None:
    frames = [replace(result, hands=() if i < 5 else result.hands) for i, result in enumerate(moving) if i % 10]
    overview = read_overview(record(frames))
    assert (overview.frames, overview.frames_with_hands, overview.skipped, overview.lost) == (54, 50, 5, 0)
    assert overview.rate == pytest.approx(53 / (58 / 30))
    assert overview.work.arrays()[1].tolist() == [23.0] * 54
    assert overview.ended_in_order
    assert overview.status
    assert overview.status.frames_with_hands == 50


def test_damaged_parts_are_counted_as_lost(
    record: Record, moving: list[FrameResult], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mcap_file, "CHUNK_BYTES", 20_000)
    path = record(moving)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    overview = read_overview(path)
    assert overview.lost == 60 - overview.frames > 0
    assert caplog.text.count("are damaged and are left out") == 1, "however often it is read"


def test_a_recording_that_was_cut_says_so(record: Record, moving: list[FrameResult], tmp_path: Path) -> None:
    overview = read_overview(record(moving, state=None))
    assert not overview.ended_in_order
    assert overview.tree()["report"] is None


def test_progress_goes_from_nothing_to_all(record: Record, moving: list[FrameResult]) -> None:
    told: list[float] = []
    read_overview(record(moving), told.append)
    assert told == sorted(told)
    assert (0 < told[0] < 0.1, told[-1]) == (True, 1.0)


def picture_of(overview: Overview, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    plot_timeline(overview, path)
    picture = cv2.imread(str(path))
    assert picture is not None
    return np.asarray(picture[..., ::-1], np.uint8)


def columns_of(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], side: str) -> list[int]:
    """The columns in which the bar of this side is."""
    colour = np.array(hand_colour("left" if side == "left" else "right")) * 0.9
    near = np.abs(picture[:220].astype(int) - colour).max(-1) < 12
    return np.flatnonzero(near.sum(0) > 10).tolist()


def test_the_timeline_shows_who_was_there_when(
    record: Record, moving: list[FrameResult], make_hand: MakeHand, tmp_path: Path
) -> None:
    away = [replace(moving[0], frame=replace(r.frame, index=60 + i, pts=2 + i / 30)) for i, r in enumerate(moving)]
    away = [replace(result, hands=result.hands[:1]) for result in away]
    overview = read_overview(record([*moving, *away]))
    picture = picture_of(overview, tmp_path / "timeline.png")
    left, right = columns_of(picture, "left"), columns_of(picture, "right")
    begin, end = right[0], right[-1]
    assert left[0] == pytest.approx(begin, abs=3)
    # The left hand is there in the first two of four seconds, and away for two thirds of one.
    assert (left[-1] - begin) / (end - begin) == pytest.approx(0.5, abs=0.02)
    assert len(left) / (end - begin) == pytest.approx(0.5 - (21 / 30) / 4, abs=0.03)
    assert len(right) == pytest.approx(end - begin, rel=0.02)


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_hardly_anything_can_be_drawn_too(
    frames: int, record: Record, moving: list[FrameResult], tmp_path: Path
) -> None:
    overview = read_overview(record(moving[:frames], name="$odd_{name$"))
    assert picture_of(overview, tmp_path / "timeline.png").shape[1] == 1100


def test_hours_and_hundreds_of_tracks_make_a_picture_of_the_same_size(
    record: Record, moving: list[FrameResult], tmp_path: Path
) -> None:
    overview = read_overview(record(moving))
    right = overview.tracks[0]
    shape = picture_of(overview, tmp_path / "short.png").shape
    pts = np.arange(100_000) / 30
    for series in (right.scores, right.speeds, overview.work, overview.latency):
        series.pts[:], series.values[:] = type(series.pts)("d", pts), type(series.values)("f", np.abs(np.sin(pts)))
    overview.frames, overview.last_pts = len(pts), pts[-1]
    overview.tracks = [right]
    for number in range(200):
        other = type(right)(number, "left")
        for series in (other.scores, other.speeds):
            for moment in (10.0 * number, 10.0 * number + 5):
                series.add(moment, 0.5)
        overview.tracks.append(other)
    assert picture_of(overview, tmp_path / "long.png").shape == shape
