"""This benchmark runs the whole pipeline with the Hamba network on the test pattern: frames/s and latency.

The pattern's two hands come first as a file does, every frame in order, and then as a camera's, 30 times a second, the
newest frame first. They are published on a socket without listeners.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.assembly import assemble
from pipeline.settings import load_settings
from stages.sources import source_for

_SIZE = "width=1280&height=720"


@dataclass(frozen=True)
class EndToEndBenchmark:
    """The results of one run of each kind. Latency is from capture until a result is given to the publisher."""

    offline_frames_per_s: float
    live_frames_per_s: float
    live_latency_ms: dict[str, float]
    live_dropped: float  # share of the camera's frames
    reconstruct_ms: dict[str, float]  # in the live run
    frames: int
    weights: str
    choices: dict[str, str]


def measure_end_to_end(
    checkpoint: Path | None = None, *, seconds: float = 10.0, on_step: Callable[[str], None] = lambda step: None
) -> EndToEndBenchmark:
    """Run both for so many seconds of the pattern. Without a checkpoint, random weights of the released size are made.

    Raises what a run raises.
    """
    with TemporaryDirectory(prefix="hamba-bench-") as folder:
        weights = checkpoint or _random_weights(Path(folder), on_step)
        runs = {}
        for mode, live in (("offline", ""), ("live", "&live=1")):
            on_step(f"{mode}: {seconds:g} s of the test pattern")
            settings = load_settings(
                mode,
                [
                    "reconstruct.estimator=hamba",
                    f"reconstruct.checkpoint={weights}",
                    *(["publish.address=tcp://127.0.0.1:*"] if live else []),
                ],
            )
            source = source_for(f"synthetic:?{_SIZE}&fps=30&seconds={seconds:g}{live}", settings.source)
            runs[mode] = assemble(source, settings, on_step=on_step).run()
    offline, live_run = runs["offline"], runs["live"]
    (reconstruct,) = (stage for stage in live_run.stages if stage.name == "reconstruct")
    shown = live_run.stages[0].received
    return EndToEndBenchmark(
        offline_frames_per_s=offline.frames / offline.elapsed,
        live_frames_per_s=live_run.frames / live_run.elapsed,
        live_latency_ms=asdict(live_run.latency),
        live_dropped=1 - live_run.frames / shown,
        reconstruct_ms=asdict(reconstruct.time),
        frames=offline.frames,
        weights="random, of the released size" if checkpoint is None else str(checkpoint),
        choices={choice.subject: choice.chosen for choice in live_run.choices if choice.subject != "weights"},
    )


def _random_weights(folder: Path, on_step: Callable[[str], None]) -> Path:
    from hamba_core.hand import load_generic_hand
    from hamba_core.weights import convert_release, write_random_release

    on_step("making random weights of the released size")
    release = write_random_release(folder / "release")
    return convert_release(release, folder / "hamba.safetensors", mano=load_generic_hand()).path
