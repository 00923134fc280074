"""This benchmark compares `HandPipeline` in a loop of one's own with a run and its threads, both on one core.

Both decode the same clip, find and reconstruct its hands; the run records them besides, as `hamba run` does. They go in
turns, so that whatever else the machine does touches both.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from pipeline.assembly import assemble
from pipeline.face.hand_pipeline import HandPipeline
from pipeline.settings import Settings
from stages.sources import source_for


@dataclass(frozen=True)
class SynchronousBenchmark:
    """Frames/s are medians over the rounds; `synchronous_over_run` is the median of the rounds' own ratios."""

    synchronous_frames_per_s: float
    run_frames_per_s: float
    synchronous_over_run: float
    rounds: int
    frames: int


def measure_synchronous(
    clip: Path, settings: Settings, *, rounds: int = 3, on_round: Callable[[int], None] | None = None
) -> SynchronousBenchmark:
    """Run both in turns on one core, after one round of warming up that does not count."""
    loops: list[float] = []
    runs: list[float] = []
    with _one_core():
        for number in range(rounds + 1):
            if on_round is not None:
                on_round(number)
            frames, loop = _loop(clip, settings)
            runs.append(_run(clip, settings))
            loops.append(loop)
    loops, runs = loops[1:], runs[1:]
    return SynchronousBenchmark(
        synchronous_frames_per_s=median(loops),
        run_frames_per_s=median(runs),
        synchronous_over_run=median(loop / run for loop, run in zip(loops, runs, strict=True)),
        rounds=rounds,
        frames=frames,
    )


@contextmanager
def _one_core() -> Iterator[None]:
    """Keep this thread, and those that it starts, on one core, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _loop(clip: Path, settings: Settings) -> tuple[int, float]:
    """Return the frames, and frames/s, of a loop that decodes with PyAV and asks for each frame's hands."""
    import av

    with HandPipeline(settings) as hands, av.open(str(clip)) as container:
        begin = time.perf_counter()
        results = (hands(frame.to_ndarray(format="rgb24"), pts=frame.time) for frame in container.decode(video=0))
        frames = len([result.frame.index for result in results])
        return frames, frames / (time.perf_counter() - begin)


def _run(clip: Path, settings: Settings) -> float:
    """Return the frames/s of a run."""
    with TemporaryDirectory() as folder:
        status = assemble(source_for(str(clip), settings.source), settings, out=Path(folder)).run()
        return status.frames / status.elapsed
