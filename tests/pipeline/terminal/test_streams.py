"""Outputs that are closed, full or read by nobody, and limits that are too small: quiet ends and clear words."""

import subprocess
import sys
from pathlib import Path

import pytest

from stages.assets import CLIP

HAMBA = f'{sys.executable} -c "from pipeline.commands.cli import main; main()"'
RUN = f"{HAMBA} run 'synthetic:?seconds=0.5&width=320&height=240' --estimator landmarks --no-overlay --out out"


def shell(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a run has left its results in out/."""
    folder = tmp_path_factory.mktemp("recorded")
    done = shell(RUN, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("command", ["info out --json", "--help", "settings", "run --help", "info no/such --json"])
def test_a_reader_that_goes_away_ends_the_program_without_a_word(recorded: Path, command: str) -> None:
    done = shell(f"{HAMBA} {command} 2>err | true; echo ${{PIPESTATUS[0]}}; cat err", recorded)
    status, _, words = done.stdout.partition("\n")
    assert int(status) in (0, 2, 141), done
    assert "Traceback" not in words
    assert "should not happen" not in words
    assert "Broken pipe" not in words


@pytest.mark.parametrize("streams", ["2>&-", ">&- 2>&- <&-", "2>/dev/full", "2> >(true)", ">&-"])
def test_a_run_whose_words_nobody_hears_keeps_its_results(tmp_path: Path, streams: str) -> None:
    done = shell(f"{RUN} {streams}", tmp_path)
    assert done.returncode == 0, done
    assert {"hands.mcap", "summary.json"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert (tmp_path / "out" / "hands.mcap").read_bytes().startswith(b"\x89MCAP")


def test_a_full_output_is_an_error_and_the_results_are_kept(tmp_path: Path) -> None:
    done = shell(f"{RUN} --json >/dev/full", tmp_path)
    assert done.returncode == 2
    assert "expected to be able to write to standard output, found: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "hands.mcap").exists()


@pytest.mark.parametrize("limit", ["-v 300000", "-v 600000", "-v 1500000", "-n 8", "-n 12", "-n 30"])
def test_limits_that_are_too_small_are_told(tmp_path: Path, limit: str) -> None:
    done = shell(f"ulimit {limit}; {HAMBA} run {CLIP} --out out", tmp_path)
    assert done.returncode == 2, done
    assert f"ulimit {limit[:2]}" in done.stderr
    assert "should not happen" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["settings", "info out", "doctor"])
def test_lines_are_not_folded_where_no_screen_has_an_edge(recorded: Path, command: str) -> None:
    shells = (f"unset COLUMNS; {HAMBA} {command}", f"COLUMNS=60 {HAMBA} {command}")  # readline in pytest sets it
    whole, folded = (shell(each, recorded).stdout.splitlines() for each in shells)
    assert len(whole) < len(folded)
    assert max(map(len, whole)) > 90
    assert all(line == line.rstrip() for line in whole)


def test_a_setting_is_one_line_of_a_file(recorded: Path) -> None:
    (line,) = shell(f"unset COLUMNS; {HAMBA} settings | grep decoding.max_gif_pixels", recorded).stdout.splitlines()
    assert line.split()[:2] == ["source.decoding.max_gif_pixels", "30000000000"]
    assert line.endswith("a small one can have trillions")
