"""A program for tests to kill: records the frames of a recording over and over, and says each frame once it is written.

python record_repeatedly.py RECORDING OUT [FRAMES] [LIMIT]; at 120 frames/s, a status each second, until FRAMES are
written; the system refuses files of more than LIMIT bytes.
"""

import resource
import sys
import time
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

from hamba_core.errors import OutputError
from stages.packets import Percentiles, RunInfo, Status
from stages.recording import Recorder
from stages.recording_reader import read_recording


def main(source: Path, out: Path, frames: int | None = None, limit: int | None = None) -> int:
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    recording = read_recording(source)
    run = recording.run
    results = list(recording.results())
    recorder = Recorder(out)
    recorder.open(
        RunInfo(
            run.stream, run.source, recording.topology, run.estimator, run.clock, run.versions, run.settings
        )
    )  # fmt: skip
    nothing = Percentiles(float("nan"), float("nan"), float("nan"))
    start = told = time.monotonic()
    try:
        for index in islice(count(), frames):
            result = results[index % len(results)]
            recorder.write(replace(result, frame=replace(result.frame, index=index)))
            print(index, time.monotonic(), flush=True)  # noqa: T201 - what the test reads
            if time.monotonic() - told > 1:
                told += 1
                recorder.status(Status(run.stream, "running", "", told, index, 2, 120.0, nothing, (), (), {}))
            time.sleep(max(0, start + index / 120 - time.monotonic()))
    except OutputError as error:
        recorder.close()
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    recorder.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])))
