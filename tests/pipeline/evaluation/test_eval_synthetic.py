"""`hamba eval synthetic` from end to end, on a few frames."""

import json
import re
from pathlib import Path

import pytest

from hamba_core.errors import HambaError
from pipeline.commands.cli import app
from pipeline.evaluation import read_numbers, results_folder
from pipeline.terminal import run_app
from stages.assets import HAMBA_S_SHA256


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eval") / "run"
    arguments = ["eval", "synthetic", "--seeds", "1", "--seconds", "0.6", "--views", "plain,narrow"]
    assert run_app(app, [*arguments, "--estimator", "landmarks", "--out", str(folder)]) == 0
    return folder


def test_the_numbers_say_how_good_the_estimator_is_beside_the_baseline(evaluated: Path) -> None:
    tree = read_numbers(evaluated, "synthetic")
    assert tree["estimator"] == "landmarks"
    assert tree["frames"] == 36
    baseline, raw, smoothed = (tree["hands"][method]["all"] for method in tree["methods"])
    assert raw["recall"] > 90
    assert raw["side"] > 50
    assert 1 < raw["pa_mpjpe"] < baseline["pa_mpjpe"] < 20
    assert 0 < smoothed["pa_f5"] < smoothed["pa_f15"] <= 1
    reasons = {choice["subject"]: choice["reason"] for choice in tree["choices"]}
    assert "ms to hands at rest" in reasons["smoothing"]  # as it was at the end
    # The camera of the narrow view is not the one that would be assumed.
    assert tree["hands"]["raw"]["all"]["translation_guessed"] > tree["hands"]["raw"]["all"]["translation"]


def test_the_report_is_one_file_with_tables_plots_and_pictures(evaluated: Path) -> None:
    page = (evaluated / "report.html").read_text()
    assert page.count("<table>") == 3
    assert page.count("data:image/png;base64") == 3
    assert page.count("data:image/jpeg;base64") > 4
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)


@pytest.mark.slow
def test_a_small_run_of_every_view_with_the_default_estimator(tmp_path: Path) -> None:
    """What the whole run says of all groups holds for a small one, roughly."""
    arguments = ["eval", "synthetic", "--seeds", "1", "--seconds", "2", "--out", str(tmp_path / "run")]
    assert run_app(app, arguments) == 0
    tree = read_numbers(tmp_path / "run", "synthetic")
    assert tree["estimator"] == "hamba-s"
    assert HAMBA_S_SHA256.startswith(tree["weights"].rpartition(" ")[2].rstrip("."))
    assert {scene["view"] for scene in tree["scenes"]} == {"plain", "narrow", "small", "dark", "cut", "fast"}
    baseline, raw, smoothed = (tree["hands"][method] for method in tree["methods"])
    for group in ("all", "open", "fist", "pinch", "fast", "at rest", "small", "dark", "left", "right"):
        assert raw[group]["measured"] > 20, group
        assert raw[group]["pa_mpjpe"] < baseline[group]["pa_mpjpe"], group
    assert smoothed["all"]["mpjpe"] < 1.03 * raw["all"]["mpjpe"]
    trembling, calm = (tree["motion"][method] for method in tree["methods"][1:])
    assert calm["at rest"]["jitter"] < 0.35 * trembling["at rest"]["jitter"]
    assert calm["moving"]["jitter"] < 0.6 * trembling["moving"]["jitter"]
    assert calm["moving"]["lag"] - trembling["moving"]["lag"] < 15


def test_two_runs_side_by_side(evaluated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["eval", "synthetic", "--compare", str(evaluated), str(evaluated), "--out", str(tmp_path)]
    assert run_app(app, arguments) == 0
    printed = capsys.readouterr().out
    assert "PA-MPJPE, mm" in printed
    assert "MediaPipe" in printed
    assert "+0.0" in printed
    assert "different scenes" not in printed
    assert (tmp_path / "comparison.html").stat().st_size > 10_000


def test_a_run_of_before_a_measure_was_there_compares(
    evaluated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = json.loads((evaluated / "numbers.json").read_text())
    for motion in older["motion"].values():
        for measures in motion.values():
            del measures["jitter_error"]
    (tmp_path / "older.json").write_text(json.dumps(older))
    assert run_app(app, ["eval", "synthetic", "--compare", str(tmp_path / "older.json"), str(evaluated)]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "jitter error mm/s³, all" in line)
    assert "–" in row


def test_results_are_not_overwritten(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HambaError, match="another with --out"):
        results_folder(evaluated, "synthetic")
    monkeypatch.chdir(tmp_path)
    first = results_folder(None, "synthetic")
    first.mkdir(parents=True)
    (first / "numbers.json").write_text("{}")
    assert results_folder(None, "synthetic") == Path("out/eval-synthetic-2")


@pytest.mark.parametrize(
    "content", ["[]", "not JSON", json.dumps({"kind": "freihand"}), json.dumps({"kind": "synthetic"})]
)
def test_numbers_of_something_else_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "numbers.json").write_text(content)
    with pytest.raises(HambaError, match=r"numbers\.json: expected (the|all) numbers"):
        read_numbers(tmp_path, "synthetic")
