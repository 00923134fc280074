"""This benchmark tells what the pipeline costs beyond the detector that it cannot do without.

The bare loop decodes a clip with PyAV and calls MediaPipe on every frame, one after the other, as a research script
would. The pipeline does that and tracks, fits, smooths and records. Both run on the same clip in turns, so that
whatever else the machine does touches both.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from pipeline.assembly import assemble
from pipeline.benchmarks.decoding import measure_decoding
from pipeline.benchmarks.overhead import measure_runtime_overhead
from pipeline.settings import Settings
from stages.assets import HAND_LANDMARKER
from stages.common.native_log import chatter_held_back
from stages.packets import Status
from stages.sources import source_for


@dataclass(frozen=True)
class PipelineBenchmark:
    """Frames/s are medians over the rounds; `pipeline_over_bare` is the median of the rounds' own ratios.

    `source_over_bare` compares the processor time of decoding the video alone to that of the video source.
    """

    bare_frames_per_s: float
    pipeline_frames_per_s: float
    pipeline_over_bare: float
    source_over_bare: float
    runtime_us_per_frame_stage: float
    rounds: int
    frames: int
    last_run: Status


def measure_pipeline(
    clip: Path, settings: Settings, *, rounds: int = 3, on_round: Callable[[int], None] | None = None
) -> PipelineBenchmark:
    """Run both in turns, after one round of warming up that does not count."""
    bare: list[float] = []
    whole: list[float] = []
    status = _pipeline(clip, settings)
    for number in range(rounds):
        if on_round is not None:
            on_round(number)
        # Alternating which goes first evens out what the machine does meanwhile.
        for which in ("bare", "whole") if number % 2 == 0 else ("whole", "bare"):
            if which == "bare":
                bare.append(_bare_loop(clip))
            else:
                status = _pipeline(clip, settings)
                whole.append(status.frames / status.elapsed)
    return PipelineBenchmark(
        bare_frames_per_s=median(bare),
        pipeline_frames_per_s=median(whole),
        pipeline_over_bare=median(w / b for w, b in zip(whole, bare, strict=True)),
        source_over_bare=measure_decoding(clip, rounds=rounds),
        runtime_us_per_frame_stage=measure_runtime_overhead(),
        rounds=rounds,
        frames=status.frames,
        last_run=status,
    )


def _pipeline(clip: Path, settings: Settings) -> Status:
    with TemporaryDirectory() as folder:
        return assemble(source_for(str(clip), settings.source), settings, out=Path(folder)).run()


def _bare_loop(clip: Path) -> float:
    """Return the frames/s of decode and detect alone, without starting up."""
    import av
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.HandLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(HAND_LANDMARKER)),
        running_mode=vision.RunningMode.VIDEO,
        num_hands=2,
    )
    with chatter_held_back():
        landmarker = vision.HandLandmarker.create_from_options(options)
        landmarker.detect_for_video(mediapipe.Image(mediapipe.ImageFormat.SRGB, np.zeros((64, 64, 3), np.uint8)), 0)
    with landmarker, av.open(str(clip)) as container:
        pictures: Iterator[av.VideoFrame] = container.decode(video=0)
        frames, begin = 0, time.perf_counter()
        for frames, picture in enumerate(pictures, 1):
            image = mediapipe.Image(mediapipe.ImageFormat.SRGB, picture.to_ndarray(format="rgb24"))
            landmarker.detect_for_video(image, frames * 33)
        return frames / (time.perf_counter() - begin)
