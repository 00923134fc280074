"""Recordings that were cut, damaged or killed give what they have, and what is no recording is refused."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from hamba_core.errors import SourceError
from stages.recording import mcap_file
from stages.recording.reader import read_recording
from tests.stages.recording.recordings import MakeResult, assert_same, read_by_mcap


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.floats(0, 1))
def test_a_recording_cut_anywhere_reads_up_to_the_cut(
    whole: Path, tmp_path: Path, make_result: MakeResult, cut: float
) -> None:
    content, path = whole.read_bytes(), tmp_path / "cut.mcap"
    path.write_bytes(content[: int(cut * len(content))])
    try:
        recording = read_recording(path)
    except SourceError as error:
        assert str(path) in str(error)  # noqa: PT017 - both ways are right
        return
    results = list(recording.results())
    for i, result in enumerate(results):
        assert_same(result, make_result(i))
    assert len(results) >= 10 * cut - 6, "a chunk holds four frames"


def heads_of_records(content: bytes | bytearray) -> list[int]:
    """Where lengths, offsets and ids are: the first bytes of every record, those of the index too."""
    heads, at = set[int](), len(mcap_file.MAGIC)
    while at + 9 <= len(content):
        heads.update(range(at, min(at + 80, len(content))))
        at += 9 + int.from_bytes(content[at + 1 : at + 9], "little")
    return sorted(heads)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_recording_gives_right_results_or_fewer(
    whole: Path, tmp_path: Path, make_result: MakeResult, data: st.DataObject
) -> None:
    content = bytearray(whole.read_bytes())
    anywhere, heads = st.integers(0, len(content) - 1), st.sampled_from(heads_of_records(content))
    for at in data.draw(st.lists(anywhere | heads, min_size=1, max_size=5)):
        content[at] ^= data.draw(st.integers(1, 255) | st.just(128))
    path = tmp_path / "damaged.mcap"
    path.write_bytes(content)
    try:
        recording = read_recording(path)
        results, told = list(recording.results()), recording.last_status()
    except SourceError:
        return
    assert told is None or told.stream == "hands"
    for result in results:
        assert_same(result, make_result(result.frame.index))


@pytest.mark.parametrize("content", [b"", b"not a recording", mcap_file.MAGIC])
def test_what_is_no_recording_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mcap").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.mcap: expected"):
        read_recording(tmp_path / "a.mcap")


def test_a_missing_recording_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.mcap.*No such file"):
        read_recording(tmp_path / "a.mcap")


WRITER = Path(__file__).parents[1] / "write_repeatedly.py"


def test_a_full_disk_is_an_error_and_leaves_a_complete_file(
    whole: Path, tmp_path: Path, make_result: MakeResult
) -> None:
    """A limit on the size of files stands for a full disk: writing fails in the same way, in the middle."""
    path = tmp_path / "a.mcap"
    program = [sys.executable, str(WRITER), "record", str(whole), str(path), "1000", "2000000"]
    ended = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, "a.mcap: expected to be able to write, found: File too large" in ended.stderr) == (
        2,
        True,
    )
    assert path.stat().st_size <= 2_000_000
    by_index = len(read_by_mcap(path, "hands/hands"))
    results = list(read_recording(path).results())
    assert by_index == len(results) > 5
    for i, result in enumerate(results):
        assert_same(replace(result, frame=make_result(i % 10).frame), make_result(i % 10))


def kill_a_writer(whole: Path, path: Path, seconds: float) -> tuple[int, int, bool]:
    """Frames written a second before the kill, frames that are read back, and whether the file has its index."""
    with subprocess.Popen(
        [sys.executable, str(WRITER), "record", str(whole), str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        lines = [writer.stdout.readline()]
        # The line says when, on the monotonic clock that all processes share.
        killed = float(lines[0].split()[1]) + seconds
        while float(lines[-1].split()[1]) < killed:
            lines.append(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout
    due = sum(float(line.split()[1]) <= killed - 1 for line in lines if line.endswith("\n"))
    indices = [result.frame.index for result in read_recording(path).results()]
    assert indices == list(range(len(indices)))
    try:
        complete = len(read_by_mcap(path, "hands/hands")) == len(indices)
    except Exception:  # noqa: BLE001 - whatever MCAP's reader says of a file that was being written to
        complete = False
    return due, len(indices), complete


@pytest.mark.parametrize("seconds", [0.0, 0.8, 1.7])
def test_a_recording_survives_a_kill_but_for_the_last_second(whole: Path, tmp_path: Path, seconds: float) -> None:
    due, found, _ = kill_a_writer(whole, tmp_path / "a.mcap", seconds)
    assert found >= due


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_recordings_survive_kills_at_fifty_random_moments(whole: Path, tmp_path: Path) -> None:
    moments = np.random.default_rng(0).uniform(0, 4, 50)
    ends = [kill_a_writer(whole, tmp_path / f"{i}.mcap", seconds) for i, seconds in enumerate(moments)]
    assert all(found >= due for due, found, _ in ends)
    assert sum(complete for _, _, complete in ends) >= 45, "most are complete, with their index"
