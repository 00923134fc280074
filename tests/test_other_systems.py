"""What Windows and macOS lack is not asked for when modules are imported, nor where there is another way.

Neither system is here: a child process is robbed of what they do not have.
"""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hamba_core.errors import ConfigurationError
from pipeline.batch import process_pool, run_batch
from pipeline.batch.task import Outcome, Progress, Task
from pipeline.settings import load_settings
from stages.common.processors import processors
from viewers.terminal_keys import TerminalKeys

ROOT = Path(__file__).parents[1]
PACKAGES = ("hamba_core", "stages", "viewers", "pipeline")

# The packages of others are loaded first: theirs for Windows are not those that are installed here.
IMPORT_ALL = """
import importlib, os, signal, sys
for name in ("numpy", "scipy.optimize", "cv2", "pydantic", "rich.progress", "typer", "zmq", "zmq.auth.thread", "av",
             "msgspec", "mcap.writer", "PIL.Image", "asyncio", "subprocess", "multiprocessing.connection", "logging",
             "concurrent.futures", "yaml", "lazy_loader", "defusedxml.ElementTree", "http.server", "torch",
             "torch.nn.functional", "torch.utils.data", "timm", "onnxruntime", "matplotlib.pyplot", "pyarrow.parquet"):
    try:
        importlib.import_module(name)
    except ImportError:
        pass  # an extra that is not installed
ROBBED = ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog", "_posixsubprocess")
for name in ROBBED:
    sys.modules[name] = None
for name in ("fork", "setsid", "getuid", "geteuid", "getpgid", "killpg", "sched_getaffinity", "sched_setaffinity",
             "mkfifo", "uname", "getloadavg", "sysconf", "statvfs", "nice", "wait4", "O_NONBLOCK", "O_CLOEXEC"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTSTP", "SIGCONT", "pthread_kill"):
    if hasattr(signal, name):
        delattr(signal, name)
failed, missing = [], 0
for name in sys.stdin.read().split():
    try:
        importlib.import_module(name)
    except (AttributeError, ImportError) as error:
        where = error.__traceback__
        while where.tb_next is not None:
            where = where.tb_next
        file = where.tb_frame.f_code.co_filename
        lacking = isinstance(error, ModuleNotFoundError) and error.name not in ROBBED
        missing += 1
        # The packages of others, as installed here, are those for this system.
        if not lacking and (file.startswith(os.getcwd()) or "importlib" in file) and "site-packages" not in file:
            failed.append(f"{name}: {error!r}")
print(len(failed), missing, *failed, sep="\\n")
"""


def modules() -> list[str]:
    """All modules of the product but those that make shipped data."""
    names = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if {"make", "blender", "__main__"} & set(parts):
                continue
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def test_no_module_needs_on_import_what_only_posix_has() -> None:
    names = modules()
    assert len(names) > 300
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_ALL],
        input="\n".join(names), capture_output=True, text=True, cwd=ROOT, check=False, timeout=110,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    failed, missing, *what = run.stdout.split("\n")
    assert failed == "0", what
    assert int(missing) < len(names) / 4, "hardly anything was imported"


def test_where_the_system_does_not_tell_processors_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity")  # macOS and Windows
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert processors() == 6


def test_on_windows_the_tasks_of_a_batch_are_done_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings("offline")
    tasks = [Task(number, f"{number}.mp4", tmp_path / str(number), settings, None) for number in range(3)]
    done: list[Outcome] = []

    def perform(task: Task, tell: object) -> Outcome:
        return Outcome(task, "stopped" if task.number == 1 else "done")

    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(process_pool, "perform", perform)
    progress: list[Progress] = []
    assert not process_pool.perform_all(tasks, 1, progress.append, done.append)
    assert [(outcome.task.number, outcome.state) for outcome in done] == [(0, "done"), (1, "stopped")]
    with pytest.raises(ConfigurationError, match=r"--jobs: expected 1 on Windows"):
        run_batch(["a.mp4", "b.mp4"], settings, jobs=2)


def test_on_windows_keys_come_from_its_console(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = list("q ")
    console = ModuleType("msvcrt")
    console.kbhit = lambda: bool(typed)  # type: ignore[attr-defined]
    console.getwch = lambda: typed.pop(0)  # type: ignore[attr-defined]

    class Terminal:
        def fileno(self) -> int:
            return 0

        def isatty(self) -> bool:
            return True

    monkeypatch.setitem(sys.modules, "msvcrt", console)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setitem(sys.modules, "termios", None)
    with TerminalKeys() as keys:
        assert (keys.available, keys.pressed(), keys.pressed()) == (True, "q ", "")
