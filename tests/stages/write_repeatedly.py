"""A program for tests to kill: writes the frames of a recording over and over, and says each frame once it is written.

python write_repeatedly.py record|overlay RECORDING OUT [FRAMES] [LIMIT]; at 120 frames/s, a status each second, until
FRAMES are written; the system refuses files of more than LIMIT bytes.
"""

import resource
import sys
import time
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import numpy as np

from hamba_core.errors import OutputError
from stages.overlay import Overlay
from stages.packets import Percentiles, RunInfo, Status
from stages.recording import Recorder, read_recording


def main(kind: str, source: Path, out: Path, frames: int | None = None, limit: int | None = None) -> int:
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    recording = read_recording(source)
    run = recording.run
    results = list(recording.results())
    sink = Recorder(out) if kind == "record" else Overlay(out)
    sink.open(RunInfo(run.stream, run.source, recording.topology, run.estimator, run.clock, run.versions, run.settings))
    noise = np.zeros((480, 640, 3), np.uint8)
    noise[:, :80] = np.random.default_rng(0).integers(0, 255, (480, 80, 3))  # which stays large when it is encoded
    nothing = Percentiles(float("nan"), float("nan"), float("nan"))
    start = told = time.monotonic()
    try:
        for index in islice(count(), frames):
            result = results[index % len(results)]
            picture = np.roll(noise, index * 7, 0)
            sink.write(replace(result, frame=replace(result.frame, index=index, pts=index / 120), image=picture))
            print(index, time.monotonic(), flush=True)  # noqa: T201 - what the test reads
            if time.monotonic() - told > 1:
                told += 1
                sink.status(Status(run.stream, "running", "", told, index, 2, 120.0, nothing, (), (), {}))
            time.sleep(max(0, start + index / 120 - time.monotonic()))
    except OutputError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sink.close()
        return 2
    sink.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:])))
