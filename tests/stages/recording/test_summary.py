"""The summary: what a run did, in plain JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hamba_core.errors import OutputError
from stages.packets import Choice, FrameResult, Hand, Percentiles, RunInfo, StageStatus, Status
from stages.recording.summary import Summary

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]
NOTHING = Percentiles(float("nan"), float("nan"), float("nan"))


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def test_a_summary_counts_frames_and_tracks(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult, make_hand: Callable[..., Hand]
) -> None:
    hands = (make_hand(1, "right", 4), make_hand(2, "left", 7))
    summary = Summary(tmp_path / "summary.json")
    summary.open(make_run())
    for i, present in enumerate(((), hands[:1], hands, hands[1:])):
        summary.write(make_result(i, hands=present, pts=i * 0.5))
    stage = StageStatus("detect", 5, 4, {"failed": 1}, 0, Percentiles(1.0, 2.0, 3.0), 0, 1, 1)
    choices = (Choice("device", "cpu", "no CUDA device was found", fallback=True),)
    summary.status(Status("hands", "ended", "the source ended", 2.0, 4, 1, 2.0, NOTHING, (stage,), choices, {"x": 1}))
    assert not (tmp_path / "summary.json").exists(), "it is written as a whole, at the end"
    summary.close()

    read = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert (read["state"], read["reason"], read["estimator"]) == ("ended", "the source ended", "landmarks")
    assert (read["frames"], read["frames_with_hands"], read["first_pts"], read["last_pts"]) == (4, 3, 0, 1.5)
    right, left = read["tracks"]
    assert (right["id"], right["side"], right["frames"], right["first_pts"], right["last_pts"]) == (
        4,
        "right",
        2,
        0.5,
        1,
    )
    assert right["mean_score"] == pytest.approx(hands[0].score)
    assert (left["id"], left["frames"], left["last_pts"]) == (7, 2, 1.5)
    assert read["source"]["camera"]["estimated"] is True
    assert read["run"]["stages"][0]["dropped"] == {"failed": 1}
    assert read["run"]["choices"][0]["reason"] == "no CUDA device was found"
    assert read["run"]["latency"]["p50"] is None


def test_a_run_without_frames_has_a_summary(tmp_path: Path, make_run: MakeRun) -> None:
    summary = Summary(tmp_path / "new" / "summary.json")
    summary.open(make_run())
    summary.close()
    read = json.loads((tmp_path / "new" / "summary.json").read_text(), parse_constant=refuse)
    assert (read["frames"], read["first_pts"], read["tracks"]) == (0, None, [])


def test_settings_of_any_type_are_written(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run()
    run.settings["path"] = Path("a/b")  # type: ignore[index]
    run.settings["number"] = np.float32(0.5)  # type: ignore[index]
    summary = Summary(tmp_path / "summary.json")
    summary.open(run)
    summary.close()
    read = json.loads((tmp_path / "summary.json").read_text())
    assert (read["settings"]["path"], read["settings"]["number"]) == ("a/b", 0.5)


def test_an_existing_summary_is_not_overwritten(tmp_path: Path, make_run: MakeRun) -> None:
    (tmp_path / "summary.json").write_text("precious")
    summary = Summary(tmp_path / "summary.json")
    with pytest.raises(OutputError, match=r"summary\.json: expected no such file yet"):
        summary.open(make_run())
    summary.close()
    assert (tmp_path / "summary.json").read_text() == "precious"
