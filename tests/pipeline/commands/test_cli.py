"""The command line, as a person and a program use it: real sources, exit statuses, words."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import typer
from rich.text import Text

from pipeline.commands import entry
from pipeline.commands.cli import app
from pipeline.commands.doctor import OPTIONAL
from pipeline.outputs import OVERLAY, SUMMARY
from pipeline.terminal import run_app
from stages.assets import CLIP
from stages.recording import RECORDING, read_recording
from stages.wire import HandsMessage

HAMBA = [sys.executable, "-c", "from pipeline.commands.cli import main; main()"]
QUICK = "synthetic:?seconds=1&fps=10&width=320&height=240"


def hamba(*arguments: str | Path) -> int:
    return run_app(app, [str(argument) for argument in arguments])


def spawn(arguments: Sequence[str | Path], **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*HAMBA, *map(str, arguments)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


@pytest.fixture(autouse=True)
def no_configured_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAMBA_CHECKPOINT", raising=False)


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom pipeline.commands.cli import app\nfrom pipeline.terminal.errors import run_app\n"
        "run_app(app, ['--help']); run_app(app, ['run', '--help'])\n"
        "print([m for m in ('torch', 'mediapipe', 'open3d', 'cv2', 'av', 'numpy', 'zmq') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Live 3D hands" in done.stdout
    assert done.stdout.strip().endswith("[]")


def _commands(command: Any, name: str = "hamba") -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups first."""
    yield name, command
    for word, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{name} {word}")


@pytest.mark.parametrize(("name", "command"), [*_commands(typer.main.get_command(app))])
def test_help_says_all_that_is_written_for_it(name: str, command: Any) -> None:
    """What stands in brackets is a style to the help's printer, and vanishes, unless it is marked."""
    for parameter in command.params:
        written = getattr(parameter, "help", None) or ""
        assert Text.from_markup(written).plain == written.replace("\\[", "["), (name, parameter.name)


def test_a_run_leaves_recording_overlay_and_summary_and_says_what_it_used(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert hamba("run", QUICK, "--out", tmp_path) == 0
    told = re.sub(r"\s+", " ", capfd.readouterr().err)
    assert "done: 10 frames, hands in 10 of them" in told
    assert "estimator: hamba-s (it ships" in told
    for name in (RECORDING, OVERLAY, SUMMARY):
        assert (tmp_path / name).stat().st_size > 0
        assert str(tmp_path / name) in told.replace(" ", "") or name in told
    summary = json.loads((tmp_path / SUMMARY).read_text())
    assert summary


def test_single_pictures_come_back_as_pictures_of_their_own_size(tmp_path: Path) -> None:
    shots, out = tmp_path / "shots", tmp_path / "out"
    shots.mkdir()
    with av.open(str(CLIP)) as clip:
        picture = next(clip.decode(video=0)).to_ndarray(format="bgr24")
    cv2.imwrite(str(shots / "one.png"), picture)
    cv2.imwrite(str(shots / "two.png"), cv2.resize(picture, (1281, 961)))
    assert hamba("run", shots, "--out", out) == 0
    assert not (out / OVERLAY).exists()
    drawn = [cv2.imread(str(path)) for path in sorted(out.glob("overlay-*.jpg"))]
    assert [image.shape for image in drawn if image is not None] == [(480, 640, 3), (961, 1281, 3)]
    assert drawn[0] is not None
    assert np.abs(drawn[0].astype(int) - picture).mean() > 5, "hands are drawn"


def test_the_report_is_json_for_programs_and_everything_adds_up(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert hamba("run", QUICK, "--out", tmp_path, "--json", "--no-overlay") == 0
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert err == ""
    assert report["state"] == "ended"
    assert report["frames"] == 10
    for stage in report["stages"]:
        assert stage["received"] == stage["emitted"] + sum(stage["dropped"].values()) + stage["in_flight"]
    assert [stage["name"] for stage in report["stages"]][1:6] == ["detect", "track", "reconstruct", "smooth", "events"]
    assert str(tmp_path / RECORDING) in report["written"]
    assert not (tmp_path / OVERLAY).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "missing.mp4"], ["missing.mp4", "expected"]),
        (["run", QUICK, "--set", "detect.max_hand=1"], ["unknown setting detect.max_hand", "did you mean max_hands?"]),
        (["run", QUICK, "--preset", "fast"], ["live, offline"]),
        (
            ["run", QUICK, "--estimator", "magic"],
            ["reconstruct.estimator", "'auto', 'hamba', 'hamba-s' or 'landmarks'", "magic"],
        ),
        (["run", QUICK, "--estimator", "hamba"], ["checkpoint", "found none"]),
        (["run", QUICK, "--hand-model", "missing.pkl"], ["missing.pkl"]),
        (["run", "synthetic:?sed=3"], ["sed", "seed"]),
        (["run", "rtps://camera"], ["rtps", "did you mean rtsp"]),
    ],
)
def test_what_is_wrong_is_said_in_one_message_with_exit_status_2(
    arguments: list[str], words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert hamba(*arguments, "--out", tmp_path / "out") == 2
    told = capfd.readouterr().err
    assert "Traceback" not in told
    assert "error:" in told
    for word in words:
        assert word in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "source"),
        (["bogus"], "bogus"),
        (["run", "x", "--bogus"], "--bogus"),
        (["run", "x", "--max-hands", "two"], "max-hands"),
    ],
)
def test_a_command_line_that_is_not_understood_is_no_bug(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert hamba(*arguments) == 2
    told = capfd.readouterr().err
    assert words in told
    assert "should not happen" not in told
    assert hamba(*arguments, "--json") == 2
    assert words in json.loads(capfd.readouterr().out)["error"]["message"]


def test_debug_shows_the_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    assert hamba("run", "missing.mp4", "--debug") == 2
    assert "Traceback" in capfd.readouterr().err


def test_errors_are_json_for_programs_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert hamba("run", "missing.mp4", "--json") == 2
    answer = json.loads(capfd.readouterr().out)
    assert answer["exit_status"] == 2
    assert answer["error"]["kind"] == "SourceError"
    assert "missing.mp4" in answer["error"]["message"]


def test_earlier_results_are_not_overwritten_unless_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / RECORDING).write_text("precious")
    assert hamba("run", QUICK, "--out", tmp_path, "--no-overlay") == 2
    assert "--overwrite" in capfd.readouterr().err
    assert (tmp_path / RECORDING).read_text() == "precious"
    assert hamba("run", QUICK, "--out", tmp_path, "--no-overlay", "--overwrite") == 0
    assert (tmp_path / RECORDING).stat().st_size > 100


def test_a_source_that_cannot_be_opened_leaves_no_files(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    out = tmp_path / "out"
    assert hamba("run", text, "--out", out) == 2
    assert not out.exists()


def test_a_file_that_breaks_in_the_middle_keeps_what_came_before(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.mp4"
    with av.open(str(CLIP)) as clip, av.open(str(broken), "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(clip.streams.video[0])
        for packet in clip.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    os.truncate(broken, broken.stat().st_size // 4)
    out = tmp_path / "out"
    assert hamba("run", broken, "--out", out, "--no-overlay", "--json") == 3
    told = json.loads(capfd.readouterr().out)
    assert told["frames"] > 10
    assert (told["state"], told["error"]["kind"], told["exit_status"]) == ("failed", "BrokenSourceError", 3)
    assert (out / RECORDING).stat().st_size > 1000


def test_a_port_in_use_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        assert hamba("run", QUICK, "--address", address, "--out", tmp_path) == 2
    told = capfd.readouterr().err
    assert address in told
    assert "another program" in told
    assert "--address" in told
    assert not tmp_path.exists(), "what had been begun is taken away"


@pytest.mark.parametrize("blocker", ["file", "readonly"])
def test_a_folder_that_cannot_be_written_is_named(
    blocker: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if blocker == "readonly" and os.geteuid() == 0:
        out = Path("/proc/hamba")  # root may write everywhere else
    else:
        out = tmp_path / "place" / "out"
        (tmp_path / "place").touch() if blocker == "file" else (tmp_path / "place").mkdir(mode=0o500)
    assert hamba("run", QUICK, "--out", out) == 2
    assert f"cannot write to {out}" in capfd.readouterr().err


def test_ctrl_c_stops_cleanly_and_keeps_everything_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = spawn(["run", "synthetic:?seconds=600&width=320&height=240", "--out", out, "--no-overlay", "--json"])
    deadline = time.monotonic() + 60
    while not (out / RECORDING).exists() or (out / RECORDING).stat().st_size < 10_000:
        assert time.monotonic() < deadline, "nothing was recorded"
        assert run.poll() is None, run.communicate()
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    told, errors = run.communicate(timeout=30)
    assert run.returncode == 130, errors
    report = json.loads(told)
    assert report["state"] == "stopped"
    recorder = next(stage for stage in report["stages"] if stage["name"] == "record")
    assert recorder["emitted"] == report["frames"] > 0

    recorded = [r.message for r in read_recording(out / RECORDING).messages() if isinstance(r.message, HandsMessage)]
    assert len(recorded) == report["frames"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--source-file", "{}"],
        ["train", "{}"],
        ["eval", "score", "{}", "."],
        ["eval", "stereo", str(CLIP), str(CLIP), "--calibration", "{}"],
        ["eval", "synthetic", "--compare", "{}", "{}"],
    ],
)
def test_a_file_that_is_missing_is_named_once_and_in_words(
    arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing.yaml")
    assert hamba(*(argument.format(missing) for argument in arguments)) == 2
    told = " ".join(capfd.readouterr().err.split())
    assert told.count("missing.yaml") == 1
    assert "No such file or directory" in told
    assert "Errno" not in told


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_the_commands_are_loaded_is_no_traceback(signal_number: signal.Signals) -> None:
    """The signal comes at the first import of what the commands need, which the program itself tells."""
    program = (
        "import sys\n"
        "class Told:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer':\n"
        "            import os; os.kill(os.getpid(), int(sys.argv.pop()))\n"
        "sys.meta_path.insert(0, Told())\n"
        "from pipeline.commands.entry import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--help", str(int(signal_number))], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_installed_program_begins_where_signals_are_looked_after() -> None:
    declared = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))
    module, function = declared["project"]["scripts"]["hamba"].split(":")
    assert module == entry.__name__
    assert getattr(entry, function) is entry.main


def test_doctor_looks_at_the_packages_of_every_extra() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    extras = {name: each for name, each in project["optional-dependencies"].items() if name != "dev"}
    named = {re.split(r"[<>=\[ ]", each)[0] for packages in extras.values() for each in packages} - {"hamba-stream"}
    assert named - set(OPTIONAL) == set()


def test_doctor_tells_what_works_here(capfd: pytest.CaptureFixture[str]) -> None:
    assert hamba("doctor", "--json") in {0, 1}
    findings = {finding["what"]: finding for finding in json.loads(capfd.readouterr().out)}
    assert findings["torch"]["state"] == "works"
    assert findings["demo clip"]["state"] == "works"
    assert findings["Hamba weights"]["state"] == "optional"
    assert all(finding["mend"] for finding in findings.values() if finding["state"] == "missing")


def test_a_version_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert hamba("--version") == 0
    assert re.fullmatch(r"hamba-stream \d+\.\d+\.\d+\n", capfd.readouterr().out)


def test_a_thread_stuck_in_foreign_code_does_not_hold_the_process() -> None:
    script = (
        "import concurrent.futures, threading\n"
        "from pipeline.terminal.errors import leave\n"
        "stuck = concurrent.futures.ThreadPoolExecutor(1).submit(threading.Event().wait)\n"  # never ends, not a daemon
        "threading.Thread(target=stuck.result, name='hamba detect', daemon=True).start()\n"
        "leave(2)"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", QUICK, "--out", ""], "--out: expected something after it, found nothing"),
        (["run", QUICK, "--out="], "--out: expected something after it, found nothing"),
        (["run", QUICK, "--preset", ""], "--preset: expected something after it"),
        (
            ["export", "", "--to", "glb"],
            "expected no empty argument, found nothing; was a variable of the shell not set",
        ),
        (["info", ""], "expected no empty argument"),
    ],
)
def test_an_empty_argument_is_not_taken_for_this_folder_or_a_default(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / RECORDING).write_bytes(b"somebody's")
    assert hamba(*arguments) == 2
    assert words in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [RECORDING]


@pytest.mark.parametrize("key", ["reconstruct.checkpoint", "source.lens.calibration", "source.world.pose"])
def test_an_empty_path_in_a_setting_is_refused(key: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert hamba("run", QUICK, "--set", f"{key}=") == 2
    assert f"setting {key}: expected a path, found an empty text" in capfd.readouterr().err


def test_playing_on_what_is_no_address_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    assert hamba("play", "nowhere", "--publish", "foo") == 2
    assert "error: --publish: expected an address such as tcp://127.0.0.1:5557" in capfd.readouterr().err


@pytest.mark.parametrize(("said", "heard"), [(None, "1000"), ("5", "5")])
def test_threads_of_torch_spin_briefly_unless_the_user_says_otherwise(said: str | None, heard: str) -> None:
    program = (
        "import atexit, os; atexit.register(lambda: print(os.environ['GOMP_SPINCOUNT']))\n"
        "from pipeline.commands.entry import main; main()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run(
        [sys.executable, "-c", program, "--version"],
        env=environment | ({"GOMP_SPINCOUNT": said} if said else {}), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == heard
