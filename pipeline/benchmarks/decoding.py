"""This benchmark tells what reading a video costs beyond decoding it: the video source against a bare loop of PyAV."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from stages.sources import SourceSettings, source_for
from stages.sources.settings import DecodingSettings


def measure_decoding(clip: Path, *, rounds: int = 5) -> float:
    """Return the bare loop's processor time as a share of the source's, one decoder thread each: the rounds' median.

    1 says that the source costs nothing beyond decoding, though it also looks for the way up, the colours and the time
    stamps of each frame. Both run in turns.
    """
    _source(clip)
    return median(_seconds(_bare_loop, clip) / _seconds(_source, clip) for _ in range(rounds))


def _seconds(read: Callable[[Path], None], clip: Path) -> float:
    begin = time.process_time()
    read(clip)
    return time.process_time() - begin


def _source(clip: Path) -> None:
    source = source_for(str(clip), SourceSettings(decoding=DecodingSettings(threads=1)))
    source.open()
    try:
        for _ in source.frames():
            pass
    finally:
        source.close()


def _bare_loop(clip: Path) -> None:
    import av

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for frame in container.decode(stream):
            frame.to_ndarray(format="rgb24")
