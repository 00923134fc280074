"""`hamba eval video`: steadiness of recordings whose answer is known."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands.cli import app
from pipeline.terminal import run_app
from stages.packets import FrameResult, Hand, RunInfo
from stages.recording import Recorder, RecordingSettings

FRAMES, RATE = 90, 30.0
Record = Callable[..., Path]


@pytest.fixture
def record(
    tmp_path: Path, make_run: Callable[..., RunInfo], make_hand: Callable[..., Hand],
    make_result: Callable[..., FrameResult],
) -> Record:  # fmt: skip
    """record(name, path, change) -> a recording of one hand that is moved by `path(t)` (3,), metres."""
    hand = make_hand(track_id=1)

    def make(
        name: str,
        path: Callable[[float], np.ndarray],
        change: Callable[[int, Hand], tuple[Hand, ...]] = lambda index, hand: (hand,),
    ) -> Path:
        file = tmp_path / f"{name}.mcap"
        recorder = Recorder(file, RecordingSettings())
        recorder.open(make_run())
        for index in range(FRAMES):
            move = path(index / RATE).astype(np.float32)
            moved = replace(hand, joints=hand.joints + move, vertices=hand.vertices + move)
            recorder.write(make_result(index, change(index, moved), pts=index / RATE))
        recorder.close()
        return file

    return make


def _numbers(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert run_app(app, ["eval", "video", *arguments, "--json"]) == 0
    tree: dict[str, object] = json.loads(capsys.readouterr().out)
    return tree


def _swing(t: float) -> np.ndarray:
    return np.array([0.1 * np.sin(5 * t), 0.02 * np.sin(9 * t), 0.0])


def test_an_even_path_has_no_jitter_and_noise_has_what_theory_says(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    even = _numbers(capsys, str(record("even", lambda t: np.array([0.1 * t, 0, 0]))))
    assert even["motion"]["jitter"] < 100  # type: ignore[index]
    assert even["motion"]["tremble"] < 0.01  # type: ignore[index]
    random = np.random.default_rng(0)
    noisy = _numbers(capsys, str(record("noisy", lambda t: random.normal(0, 0.001, 3))))
    # The third difference of noise has 20 times its variance; a vector of three such has this mean length.
    expected = 1e3 * 0.001 * np.sqrt(20) * np.sqrt(8 / np.pi) * RATE**3
    assert noisy["motion"]["jitter"] == pytest.approx(expected, rel=0.15)  # type: ignore[index]
    assert noisy["motion"]["tremble"] == pytest.approx(np.sqrt(3 * 10 / 11), rel=0.15)  # type: ignore[index]


def test_how_much_later_it_is_than_the_raw_recording(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    raw, late = record("raw", _swing), record("late", lambda t: _swing(t - 0.05))
    assert _numbers(capsys, str(late), "--raw", str(raw))["added_lag"] == pytest.approx(50, abs=3)


def test_gaps_births_and_side_flips_are_counted(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    def change(index: int, hand: Hand) -> tuple[Hand, ...]:
        if 30 <= index < 36:
            return ()
        return (replace(hand, side="left" if index >= 60 else "right", track_id=2 if index >= 80 else 1),)

    tree = _numbers(capsys, str(record("gaps", _swing, change)))
    assert tree["tracks"] == {
        "births": 2, "deaths": 1, "gaps": 1, "gap_seconds": pytest.approx(0.2), "side_flips": 1,
    }  # fmt: skip
    assert tree["stretches"] == 3  # the last ten frames are too short
    assert tree["per_minute"]["gaps"] == pytest.approx(60 / tree["seconds"])  # type: ignore[index, operator]


def test_the_shipped_clip_against_its_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make_run: Callable[..., RunInfo]
) -> None:
    """Perfect hands, made of the truth itself, are neither late nor wrong."""
    from stages.assets import CLIP_TRUTH
    from stages.packets import FrameMeta
    from stages.synthetic import load_truth

    truth = load_truth(CLIP_TRUTH)
    recorder = Recorder(tmp_path / "perfect.mcap", RecordingSettings())
    recorder.open(make_run())
    for index in range(60):
        hands = tuple(
            Hand(
                track_id=which + 1, side=side, score=1.0, box=np.zeros(4, np.float32),
                global_orient=truth.global_orient[index, which], hand_pose=truth.hand_pose[index, which],
                betas=truth.betas[which], translation=truth.translation[index, which],
                joints=truth.joints[index, which], joints_2d=truth.joints_2d[index, which],
                vertices=np.zeros((0, 3), np.float32),
            )
            for which, side in enumerate(truth.sides)
        )  # fmt: skip
        meta = FrameMeta("hands", index, index / 30, index, truth.width, truth.height, truth.camera)
        recorder.write(FrameResult(meta, hands))
    recorder.close()
    motion = _numbers(capsys, str(tmp_path / "perfect.mcap"), "--truth", str(CLIP_TRUTH))["motion"]
    assert motion["acceleration_error"] < 1  # type: ignore[index]
    assert motion["lag"] == pytest.approx(0, abs=0.1)  # type: ignore[index]


def test_a_table_with_units_and_files(record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    assert run_app(app, ["eval", "video", str(record("a", _swing)), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for unit in ("mm/s³", "px RMS", "/min"):
        assert unit in printed
    assert (out / "report.html").is_file()
    assert (out / "numbers.json").is_file()


def test_truth_that_is_none_is_refused(record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "truth.npz").write_bytes(b"nothing")
    assert run_app(app, ["eval", "video", str(record("a", _swing)), "--truth", str(tmp_path / "truth.npz")]) == 2
    assert "truth of a synthetic clip" in capsys.readouterr().err
