"""A pool of processes does the tasks of a batch. One that dies fails its task, and the others go on.

On Windows, where a process cannot be handed a connection and a signal like that, this process does them by itself.
"""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from threading import Event
from typing import Any

from hamba_core.errors import PipelineError
from pipeline.batch.task import Outcome, Progress, Task, perform
from stages.common.processors import processors
from stages.common.stop_signals import stopped_by_signals

_POLL = 0.5  # s
_PATIENCE = 5.0  # s for a process that has nothing to do to end


def perform_all(
    tasks: Sequence[Task], jobs: int, on_progress: Callable[[Progress], None], on_outcome: Callable[[Outcome], None]
) -> bool:
    """Do all tasks in `jobs` processes. Returns False if Ctrl-C stopped it before its end.

    Ctrl-C lets those that run end cleanly, and begins no others; a second one does not wait.
    """
    if sys.platform == "win32":
        return _one_by_one(tasks, on_progress, on_outcome)
    waiting = deque(tasks)
    busy: dict[Connection[Any, Any], _Worker] = {}
    idle: list[_Worker] = []
    asked = Event()
    try:
        with stopped_by_signals(asked.set):
            stopped = False
            while waiting or busy:
                if asked.is_set() and not stopped:
                    stopped = True
                    waiting.clear()
                    for worker in busy.values():
                        worker.stop()
                while waiting and len(busy) < jobs:
                    worker = idle.pop() if idle else _Worker(jobs)
                    worker.give(waiting.popleft())
                    busy[worker.connection] = worker
                for connection in wait(list(busy), _POLL):
                    worker = busy[connection]  # type: ignore[index]
                    news = worker.hear()
                    if isinstance(news, Progress):
                        on_progress(news)
                        continue
                    del busy[worker.connection]
                    if news.last:
                        worker.end()
                    else:
                        idle.append(worker)
                    on_outcome(news)
            return not stopped
    finally:
        for worker in (*busy.values(), *idle):
            worker.end()


def _one_by_one(
    tasks: Sequence[Task], on_progress: Callable[[Progress], None], on_outcome: Callable[[Outcome], None]
) -> bool:
    for task in tasks:
        outcome = perform(task, on_progress)
        on_outcome(outcome)
        if outcome.state == "stopped":
            return False
    return True


class _Worker:
    """A process that runs `pipeline.batch.worker`, and the connection to it."""

    def __init__(self, jobs: int) -> None:
        self.connection, theirs = Pipe()
        self._task: Task | None = None
        self._stopped = False
        threads = max(1, processors() // jobs)
        program = f"from pipeline.batch.worker import main; main({theirs.fileno()})"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", program],  # -P: no folder of the person's shadows ours
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # which is for the report
            pass_fds=[theirs.fileno()],
            # Ctrl-C at the terminal is for the batch, which tells its processes.
            start_new_session=True,
            # Without --jobs, as many as each library likes.
            env=os.environ | ({"OMP_NUM_THREADS": str(threads)} if jobs > 1 else {}),
        )
        theirs.close()

    def give(self, task: Task) -> None:
        """Give the process a task to begin."""
        self._task = task
        with suppress(OSError):  # it has died; `hear` says so
            self.connection.send(task)

    def hear(self) -> Progress | Outcome:
        """Return what the process says next, or the outcome of its death."""
        if self._task is None:
            raise PipelineError("batch: expected a process that has a task, found an idle one")
        try:
            news = self.connection.recv()
        except (EOFError, OSError):
            task, self._task = self._task, None
            return Outcome(task, "stopped" if self._stopped else "failed", self._cause_of_death(), last=True)
        if isinstance(news, Outcome):
            self._task = None
        return news  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Ask the process to end its task cleanly."""
        self._stopped = True
        self._process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """End the process; at once if it is at work."""
        self.connection.close()
        if self._task is not None:
            self._process.kill()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _cause_of_death(self) -> str:
        self.end()
        status = self._process.returncode
        if status >= 0:
            return f"its process ended without a word, with exit status {status}; run it alone, with --debug"
        name = signal.Signals(-status).name
        hint = "; the system does so where memory is short: try fewer --jobs" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
