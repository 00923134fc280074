"""Several sources in one run: what they are, where their results go, what is made again, and what one failure does."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from rich.console import Console

from hamba_core.errors import ConfigurationError, OutputError
from pipeline.batch.batch import plan, sources_of
from pipeline.batch.display import BatchLines, print_outcomes
from pipeline.batch.process_pool import perform_all
from pipeline.batch.task import Outcome, Progress, Task
from pipeline.commands.cli import app
from pipeline.outputs import OVERLAY, SUMMARY
from pipeline.settings import load_settings
from pipeline.terminal import run_app
from stages.assets import CLIP
from stages.export import ExportSettings
from stages.packets import FrameResult, Percentiles, RunInfo, Status
from stages.recording import RECORDING, Recorder, read_recording

LEAN = ["reconstruct.estimator=landmarks", "overlay.enabled=false"]
LEAN_OPTIONS = ["--estimator", "landmarks", "--no-overlay"]
ENDLESS = "synthetic:?seconds=600&width=320&height=240"

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]
Keep = Callable[..., Path]


def hamba(*arguments: str | Path) -> int:
    return run_app(app, [str(argument) for argument in arguments])


def write_video(path: Path, frames: int = 12) -> Path:
    """The shipped clip's first frames."""
    with av.open(str(CLIP)) as clip, av.open(str(path), "w") as copy:
        stream = copy.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for _, frame in zip(range(frames), clip.decode(video=0), strict=False):
            frame.pict_type = av.video.frame.PictureType.NONE
            copy.mux(stream.encode(frame))
        copy.mux(stream.encode(None))
    return path


@pytest.fixture(autouse=True)
def no_configured_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAMBA_CHECKPOINT", raising=False)


@pytest.fixture
def keep(make_run: MakeRun, make_result: MakeResult) -> Keep:
    """keep(folder, source, state, settings) -> folder with the recording of a run that came to this state."""

    def make(folder: Path, source: str, state: str = "ended", *settings: str) -> Path:
        run, used = make_run(), load_settings("offline", settings).model_dump(mode="json", exclude_defaults=True)
        recorder = Recorder(folder / RECORDING)
        recorder.open(replace(run, source=replace(run.source, name=source), settings=used))
        recorder.write(make_result())
        nothing = Percentiles(float("nan"), float("nan"), float("nan"))
        recorder.status(Status("hands", state, "", 1.0, 1, 2, 30.0, nothing, (), (), {}))
        recorder.close()
        return folder

    return make


def test_a_folder_of_videos_is_each_of_them_in_natural_order(tmp_path: Path) -> None:
    for name in ("take 10.mp4", "take 2.MOV", "notes.txt", ".hidden.mp4"):
        (tmp_path / name).touch()
    expected = [str(tmp_path / "take 2.MOV"), str(tmp_path / "take 10.mp4")]
    assert sources_of([str(tmp_path)]) == expected
    assert sources_of([str(tmp_path / "take*")]) == expected
    assert sources_of([str(tmp_path), expected[1]]) == expected, "each once"


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_the_folder_one_is_in(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "take.mp4").touch()
    monkeypatch.chdir(tmp_path)
    assert sources_of([name]) == [name], "as from a shell's variable that is not set"
    assert sources_of(["."]) == ["take.mp4"]


def test_pictures_are_one_source_and_each_video_beside_them_is_another(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg", "clip.mp4", "take.mov"):
        (tmp_path / name).touch()
    videos = [str(tmp_path / "clip.mp4"), str(tmp_path / "take.mov")]
    for name in (str(tmp_path), str(tmp_path / "*")):
        assert sources_of([name]) == [name, *videos]
    for name in (str(tmp_path / "*.jpg"), videos[0], "0", "rtsp://camera/?a=1", "nothing"):
        assert sources_of([name]) == [name]


def test_a_folder_of_a_picture_and_videos_is_run_whole(tmp_path: Path, short_clip: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "clip.mp4").write_bytes(short_clip.read_bytes())
    cv2.imwrite(str(folder / "cover.png"), np.full((64, 96, 3), 90, np.uint8))
    assert hamba("run", folder, "--out", tmp_path / "out", *LEAN_OPTIONS) == 0
    assert sorted(path.parent.name for path in tmp_path.glob("out/*/hands.mcap")) == ["clip", "mixed"]


def test_each_source_has_a_folder_of_its_own_name(tmp_path: Path) -> None:
    tasks, skipped = plan(
        ["a/x.mp4", "b/x.mp4", "y.mov"], load_settings("offline"), None, out=tmp_path, overwrite=False, resume=False
    )
    assert [task.folder for task in tasks] == [tmp_path / "x", tmp_path / "x-2", tmp_path / "y"]
    assert not skipped


def test_what_cannot_be_in_a_batch_is_refused_before_any_work(tmp_path: Path) -> None:
    settings = load_settings("offline")
    with pytest.raises(ConfigurationError, match=r"rtsp://camera: expected files .* found a live one"):
        plan(["a.mp4", "rtsp://camera"], settings, None, out=tmp_path, overwrite=False, resume=False)
    unrecorded = load_settings("offline", ["record.enabled=false"])
    with pytest.raises(ConfigurationError, match=r"--resume: expected recordings to go by"):
        plan(["a.mp4"], unrecorded, None, out=tmp_path, overwrite=False, resume=True)


def test_earlier_results_are_kept_unless_one_says_what_to_do(tmp_path: Path, keep: Keep) -> None:
    keep(tmp_path / "a", "a.mp4")
    settings = load_settings("offline")
    with pytest.raises(OutputError, match=r"a already holds the results of a run.*--resume.*--overwrite.*--out"):
        plan(["b.mp4", "a.mp4"], settings, None, out=tmp_path, overwrite=False, resume=False)
    tasks, _ = plan(["b.mp4", "a.mp4"], settings, None, out=tmp_path, overwrite=True, resume=False)
    assert [task.replace for task in tasks] == [True, True]


def test_resuming_goes_by_what_the_recordings_say(tmp_path: Path, keep: Keep) -> None:
    keep(tmp_path / "ended", "ended.mp4")
    keep(tmp_path / "stopped", "stopped.mp4", "stopped")
    keep(tmp_path / "killed", "killed.mp4", "running")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / RECORDING).touch()
    sources = [f"{name}.mp4" for name in ("ended", "stopped", "killed", "empty", "new")]
    tasks, skipped = plan(sources, load_settings("offline"), None, out=tmp_path, overwrite=False, resume=True)
    assert [(outcome.task.source, outcome.reason) for outcome in skipped] == [("ended.mp4", "")]
    assert [(task.source, task.replace) for task in tasks] == [
        ("stopped.mp4", True), ("killed.mp4", True), ("empty.mp4", True), ("new.mp4", False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("earlier", "now", "told"),
    [
        (("detect.max_hands=1", "track.max_gap=0.3"), ("track.max_gap=0.3",), "(detect.max_hands=1)"),
        ((), ("detect.max_hands=1",), "(without detect.max_hands=1)"),
    ],
)
def test_resuming_says_of_what_it_skips_that_it_was_made_with_other_settings(
    earlier: tuple[str, ...], now: tuple[str, ...], told: str, tmp_path: Path, keep: Keep
) -> None:
    keep(tmp_path / "a", "a.mp4", "ended", *earlier)
    settings = load_settings("offline", now)
    for exports in (None, ExportSettings(formats=("npz",))):
        tasks, [outcome] = plan(["a.mp4"], settings, exports, out=tmp_path, overwrite=False, resume=True)
        assert not tasks
        assert outcome.state == "skipped"
        assert outcome.reason == f"with other settings {told}; --overwrite makes it anew"


def test_resuming_makes_the_exports_that_are_missing_and_nothing_else(tmp_path: Path, keep: Keep) -> None:
    keep(tmp_path / "a", "a.mp4")
    (tmp_path / "a" / "hands.npz").touch()
    exports = ExportSettings(formats=("npz", "csv"))
    (task,), _ = plan(["a.mp4"], load_settings("offline"), exports, out=tmp_path, overwrite=False, resume=True)
    assert not task.reconstruct
    assert task.exports
    assert (task.exports.formats, task.exports.overwrite) == (("csv",), False)


def test_resuming_does_not_take_the_results_of_another_source_for_its_own(tmp_path: Path, keep: Keep) -> None:
    keep(tmp_path / "a", "elsewhere/a.mp4", "running")
    settings = load_settings("offline")
    with pytest.raises(OutputError, match=r"holds the results of elsewhere/a\.mp4, expected those of a\.mp4"):
        plan(["a.mp4"], settings, None, out=tmp_path, overwrite=False, resume=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / OVERLAY).write_text("precious")
    with pytest.raises(OutputError, match=r"holds results without a recording"):
        plan(["b.mp4"], settings, None, out=tmp_path, overwrite=False, resume=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--export", "gbl"], "did you mean glb?"),
        (["--export", "npz", "--set", "record.enabled=false"], "found record.enabled=false"),
        (["--jobs", "2", "--publish"], "--jobs: expected one job"),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_work(
    options: list[str], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert hamba("run", "a.mp4", "b.mp4", "--out", out, *options) == 2
    assert words in capfd.readouterr().err
    assert not out.exists()


def test_a_single_run_exports_too_and_lists_what_it_wrote(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clip = write_video(tmp_path / "clip.mp4")
    out = tmp_path / "out"
    assert hamba("run", clip, "--out", out, "--export", "npz,mp4", "--json", *LEAN_OPTIONS) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["written"] == [str(out / name) for name in (RECORDING, "hands.mp4", "hands.npz", SUMMARY)]
    with av.open(str(out / "hands.mp4")) as video:
        drawn = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(drawn) == 12
    with av.open(str(clip)) as video:
        seen = next(video.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(drawn[0][:60].astype(int) - seen[:60]).mean() < 6, "it is drawn over the source"


def test_one_bad_file_stops_nothing_and_a_second_run_goes_on_where_the_first_ended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clips, out = tmp_path / "clips", tmp_path / "out"
    clips.mkdir()
    write_video(clips / "a.mp4")
    (clips / "b.mp4").write_text("this is no video\n" * 100)
    write_video(clips / "c.mp4")
    assert hamba("run", clips, "--out", out, "--jobs", "2", "--export", "npz", "--json", *LEAN_OPTIONS) == 3
    told = json.loads(capfd.readouterr().out)
    assert [source["state"] for source in told["sources"]] == ["done", "failed", "done"]
    assert told["exit_status"] == 3
    assert "expected a video" in told["sources"][1]["reason"]
    assert told["sources"][0]["report"]["frames"] == 12
    assert str(out / "a" / "hands.npz") in told["sources"][0]["written"]
    assert not (out / "b").exists()

    made = (out / "a" / RECORDING).stat().st_mtime_ns
    with (out / "c" / RECORDING).open("r+b") as recording:
        recording.truncate(recording.seek(0, 2) * 2 // 3)
    (clips / "b.mp4").unlink()
    assert hamba("run", clips, "--out", out, "--resume", "--export", "npz", *LEAN_OPTIONS) == 0
    told_people = capfd.readouterr().err
    assert "2 sources: 1 done, 1 skipped" in told_people
    assert f"finished before, in {out / 'a'}" in told_people
    assert (out / "a" / RECORDING).stat().st_mtime_ns == made
    status = read_recording(out / "c" / RECORDING).last_status()
    assert status
    assert status.state == "ended"


def test_a_video_without_hands_fails_its_own_export_and_no_batch(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    empty, seen = tmp_path / "empty.mp4", write_video(tmp_path / "seen.mp4")
    with av.open(str(empty), "w") as file:
        stream = file.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((240, 320, 3), 90, np.uint8))))
        file.mux(stream.encode(None))
    out = tmp_path / "out"
    assert hamba("run", empty, "--out", out / "one", "--export", "csv", "--json", *LEAN_OPTIONS) == 2
    told = json.loads(capfd.readouterr().out)
    assert (told["state"], told["frames"], told["frames_with_hands"]) == ("ended", 3, 0)
    assert (told["error"]["kind"], told["exit_status"]) == ("NoHandsError", 2)
    assert str(out / "one" / RECORDING) in told["written"]

    assert hamba("run", empty, seen, "--out", out, "--export", "csv", *LEAN_OPTIONS) == 0
    lines = capfd.readouterr().err
    assert f"done {empty}: 3 frames, no hands, and so nothing to export, in {out / 'empty'}" in lines
    assert f"done {seen}: 12 frames, hands in 12 of them, in {out / 'seen'}" in lines
    assert (out / "seen" / "hands.csv").exists()
    assert hamba("run", empty, seen, "--out", out, "--export", "csv", "--resume", *LEAN_OPTIONS) == 0


def test_names_that_are_not_utf8_are_names_like_others(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clips, out = tmp_path / "clips", tmp_path / "out"
    clips.mkdir()
    names = [clips / "~clip.mp4", Path(os.fsdecode(os.fsencode(clips) + b"/lat\xe9n.mp4"))]
    for name in names:
        write_video(name, 3)
    assert hamba("run", clips, "--out", out, "--export", "mp4,npz", *LEAN_OPTIONS) == 0
    assert "/lat\\xe9n.mp4: 3 frames" in capfd.readouterr().err
    assert hamba("run", clips, "--out", out, "--resume", "--json", *LEAN_OPTIONS) == 0
    assert [source["state"] for source in json.loads(capfd.readouterr().out)["sources"]] == ["skipped"] * 2
    recorded = read_recording(out / "lat-n" / RECORDING).run.source.name
    assert recorded == f"{clips.as_uri()}/lat%E9n.mp4"
    assert hamba("run", recorded, "--out", out / "again", "--json", *LEAN_OPTIONS) == 0
    assert json.loads((out / "again" / SUMMARY).read_text())["source"]["name"] == recorded


def test_a_persons_own_folders_do_not_take_the_place_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("pipeline", "stages"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not ours')\n")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_text("this is no video\n" * 100)
    monkeypatch.chdir(tmp_path)
    assert hamba("run", "a.mp4", "b.mp4", "--json", *LEAN_OPTIONS) == 2
    assert all("expected a video" in source["reason"] for source in json.loads(capfd.readouterr().out)["sources"])


def before_the_last_second(heard: list[Status]) -> list[Status]:
    """Of a run's states, those with frames in them that a kill now cannot undo."""
    return [status for status in heard if status.frames and status.elapsed < heard[-1].elapsed - 1.2]


def test_a_process_that_is_killed_fails_its_source_and_another_goes_on(tmp_path: Path) -> None:
    settings = load_settings("offline", LEAN)
    tasks = [
        Task(0, ENDLESS, tmp_path / "endless", settings, None),
        Task(1, str(write_video(tmp_path / "clip.mp4")), tmp_path / "clip", settings, None),
    ]
    outcomes: list[Outcome] = []
    heard: list[Status] = []

    def kill_the_first(progress: Progress) -> None:
        if progress.number == 0 and progress.status:
            heard.append(progress.status)
        if progress.number == 0 and before_the_last_second(heard):
            for task in Path("/proc/self/task").iterdir():
                for child in (task / "children").read_text().split():
                    if b"batch.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                        os.kill(int(child), signal.SIGKILL)

    assert perform_all(tasks, 1, kill_the_first, outcomes.append)
    assert [outcome.state for outcome in outcomes] == ["failed", "done"]
    assert "killed by SIGKILL" in outcomes[0].reason
    kept = list(read_recording(tmp_path / "endless" / RECORDING).results())
    assert len(kept) >= before_the_last_second(heard)[-1].frames > 0


def test_ctrl_c_ends_all_that_run_cleanly_and_begins_no_more(tmp_path: Path) -> None:
    out = tmp_path / "out"
    sources = [f"{ENDLESS}&seed={seed}" for seed in range(3)]
    program = [
        sys.executable,
        "-c",
        "from pipeline.commands.cli import main; main()",
        "run",
        *sources,
        "--out",
        str(out),
    ]
    run = subprocess.Popen([*program, "--jobs", "2", "--json", *LEAN_OPTIONS], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 80
    while sum(path.stat().st_size > 10_000 for path in out.glob(f"*/{RECORDING}")) < 2:
        assert time.monotonic() < deadline, "nothing was recorded"
        assert run.poll() is None, run.communicate()
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    told, _ = run.communicate(timeout=30)
    assert run.returncode == 130
    answer = json.loads(told)
    assert [source["state"] for source in answer["sources"]] == ["stopped", "stopped"]
    for source in answer["sources"]:
        recording = read_recording(Path(source["folder"]) / RECORDING)
        status = recording.last_status()
        assert status
        assert status.state == "stopped"
        assert len(list(recording.results())) == source["report"]["frames"] > 0


def test_people_see_a_bar_for_all_and_one_for_each_at_work_and_what_failed(tmp_path: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    task = Task(0, "clips/a[1].mp4", tmp_path / "a", load_settings("offline"), None)
    with BatchLines(console, ["clips/a[1].mp4", "b.mp4"]) as lines:
        lines.update(Progress(0, "reconstructing", 0.5))
        lines.update(Progress(1, "opening", None))
        lines.ended(Outcome(task, "failed", "clips/a[1].mp4: it is broken"))
    print_outcomes(console, [Outcome(task, "failed", "clips/a[1].mp4: it is broken")], 2, 1.0)
    told = screen.getvalue()
    for words in ("all sources", "a[1].mp4", "opening b.mp4", "it is broken", "1 failed, 1 not begun"):
        assert words in told


def test_pictures_in_a_folder_still_run_as_one_source(tmp_path: Path) -> None:
    shots, out = tmp_path / "shots", tmp_path / "out"
    shots.mkdir()
    cv2.imwrite(str(shots / "one.png"), np.zeros((120, 160, 3), np.uint8))
    assert hamba("run", shots, "--out", out, *LEAN_OPTIONS) == 0
    assert (out / RECORDING).exists()


def test_pictures_that_a_shell_lists_are_one_source_too(tmp_path: Path) -> None:
    with av.open(str(CLIP)) as clip:
        picture = next(clip.decode(video=0)).to_ndarray(format="bgr24")
    shots = [tmp_path / name for name in ("b.png", "a.jpg")]
    for shot, shown in zip(shots, (picture, picture[:, :400]), strict=True):
        cv2.imwrite(str(shot), shown)
    out = tmp_path / "out"
    assert hamba("run", *shots, "--out", out, "--estimator", "landmarks", "--export", "npz,mp4") == 0
    arrays = np.load(out / "hands.npz")
    assert arrays["pictures"].tolist() == ["b.png", "a.jpg"]
    assert set(arrays["picture"].tolist()) == {0, 1}
    assert [picture["name"] for picture in json.loads((out / SUMMARY).read_text())["pictures"]] == ["b.png", "a.jpg"]
    assert {path.name for path in out.iterdir()} >= {"overlay-a.jpg", "overlay-b.jpg", "preview.png", "hands.mp4"}
    assert hamba("run", *shots, "--out", tmp_path / "each", "--jobs", "1", *LEAN_OPTIONS) == 0
    assert (tmp_path / "each" / "b" / RECORDING).exists()
