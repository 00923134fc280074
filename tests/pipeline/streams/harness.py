"""Starts the program `consumer`, listens to it, stops it and holds it up."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "tests.pipeline.streams.consumer"


class Consumer:
    """A run on an address, in a process of its own; a `with` block ends it."""

    def __init__(self, address: str, processing: float | str = 0.0, **live: Any) -> None:
        command = [sys.executable, "-m", PROGRAM, address, str(processing), json.dumps({"live": live})]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.lines: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._threads = [threading.Thread(target=self._listen), threading.Thread(target=self._hear)]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(json.loads(line))

    def _hear(self) -> None:
        for line in self.process.stderr or ():
            self.said.append(line.decode(errors="replace"))

    @property
    def results(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "age" in line]

    @property
    def states(self) -> list[str]:
        """The states of the source, as they were told, without repetitions."""
        found: list[str] = []
        for line in list(self.lines):
            state = (line.get("status") or {}).get("source")
            if state and (not found or found[-1] != state["state"]):
                found.append(state["state"])
        return found

    @property
    def status(self) -> dict[str, Any]:
        """The newest status."""
        return next((line["status"] for line in reversed(self.lines) if "status" in line), {})

    @property
    def state(self) -> str:
        """The state of its source in the newest status; empty before the first."""
        return str((self.status.get("source") or {}).get("state", ""))

    @property
    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = (self.status.get("source") or {}).get("counts", {})
        return counts

    def since(self, moment: float) -> list[dict[str, Any]]:
        """The results after a moment on the monotonic clock whose picture could be read."""
        return [line for line in self.results if line["at"] >= moment and line["age"] is not None]

    def wait_for(self, what: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until something is so."""
        give_up = time.monotonic() + seconds
        while not what():
            if time.monotonic() > give_up or (self.process.poll() is not None and not what()):
                told = f"{self.status}\n{''.join(self.said)}\n{self.lines[-3:]}"
                raise AssertionError(f"it did not come to that within {seconds} s: {told}")
            time.sleep(0.02)

    def wait_for_results(self, count: int = 30, seconds: float = 30.0) -> None:
        """Wait for so many more results."""
        wanted = len(self.results) + count
        self.wait_for(lambda: len(self.results) >= wanted, seconds)

    def wait_for_count(self, kind: str, count: int, seconds: float = 30.0) -> None:
        """Wait until something has happened so often to the source."""
        self.wait_for(lambda: self.counts.get(kind, 0) >= count, seconds)

    def hold(self, seconds: float) -> float:
        """Stop its process for so long (SIGSTOP), and return when it went on."""
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)
        return time.monotonic()

    def hold_to(self, share: float, seconds: float, period: float = 0.05) -> None:
        """Let its process run for a share of the time only."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(period * (1 - share))
            self.process.send_signal(signal.SIGCONT)
            time.sleep(period * share)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """End it with a signal, and return its exit status and how long that took, s."""
        begin = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(60)
        took = time.monotonic() - begin
        for thread in self._threads:
            thread.join()
        return status, took

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = next(line["report"] for line in reversed(self.lines) if line.get("report"))
        return report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def conserved(report: dict[str, Any]) -> bool:
    """Whether every part of a report received what it emitted and dropped, and the one before it emitted."""
    parts = report["stages"]
    sums = all(
        part["received"] == part["emitted"] + sum(part["dropped"].values()) + part["in_flight"] for part in parts
    )
    return sums and all(before["emitted"] == after["received"] for before, after in pairwise(parts))
