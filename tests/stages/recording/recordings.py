"""Recordings that tests write, and how they are compared with what was written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mcap.reader import make_reader
from mcap.records import Channel, Message, Schema

from stages.packets import Choice, FrameResult, Percentiles, RunInfo, Status
from stages.recording import Recorder, RecordingSettings

START = 1_700_000_000_000_000_000  # the tests' runs start then


MakeResult = Callable[..., FrameResult]


MakeRun = Callable[..., RunInfo]


def status(state: str = "running") -> Status:
    nothing = Percentiles(float("nan"), float("nan"), float("nan"))
    choice = Choice("device", "cpu", "no CUDA device was found", fallback=True)
    return Status("hands", state, "", 1.0, 30, 2, 30.0, nothing, (), (choice,), {})


def record(
    path: Path,
    run: RunInfo,
    results: list[FrameResult],
    options: RecordingSettings | None = None,
    end: str | None = "ended",
) -> Path:
    recorder = Recorder(path, options)
    recorder.open(run)
    for result in results:
        recorder.write(result)
    if end:
        recorder.status(status(end))
    recorder.close()
    return path


def read_by_mcap(path: Path, *topics: str) -> list[tuple[Schema, Channel, Message]]:
    """By MCAP's own reader, which needs the summary and checks its checksum."""
    with path.open("rb") as file:
        return [(s, c, m) for s, c, m in make_reader(file, validate_crcs=True).iter_messages(topics or None) if s]


def assert_same(result: FrameResult, other: FrameResult) -> None:
    assert result.frame == other.frame or repr(result.frame) == repr(other.frame)
    assert len(result.hands) == len(other.hands)
    for hand, other_hand in zip(result.hands, other.hands, strict=True):
        assert (hand.track_id, hand.side) == (other_hand.track_id, other_hand.side)
        for name in ("global_orient", "hand_pose", "betas", "translation", "joints", "joints_2d", "vertices", "box"):
            np.testing.assert_array_equal(getattr(hand, name), getattr(other_hand, name))
