"""`hamba bench`: speed, as ratios between things timed in one run."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine, as ratios within one run.")


@app.command("pipeline")
def pipeline(
    clip: Annotated[Path | None, typer.Argument(help="A video file. \\[default: the shipped clip]")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Number of runs of each.")] = 3,
    overlay: Annotated[bool, typer.Option("--overlay/--no-overlay", help="Also draw the overlay video.")] = False,
    estimator: Annotated[
        Literal["landmarks", "hamba-s", "hamba"],
        typer.Option(help="hamba: end to end on the test pattern, without a bare loop."),
    ] = "landmarks",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Hamba weights. \\[default: random ones of the released size]")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="Seconds of the test pattern, for hamba.")] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time the whole pipeline, detection to recording, against a bare loop of decoding and detection."""
    from dataclasses import asdict

    from stages.common.terminal import Terminal

    if estimator == "hamba":
        from pipeline.benchmarks.end_to_end import measure_end_to_end

        console = Terminal(stderr=True, quiet=json)
        whole = measure_end_to_end(checkpoint, seconds=seconds, on_step=lambda step: console.print(step, style="dim"))
        _print(asdict(whole), json=json)
        return
    from pipeline.benchmarks.pipeline import measure_pipeline
    from pipeline.settings import load_settings
    from pipeline.terminal import print_report
    from stages.assets import CLIP

    console = Terminal(stderr=True, quiet=json)
    settings = load_settings("offline", [f"reconstruct.estimator={estimator}", f"overlay.enabled={overlay}"])

    def on_round(number: int) -> None:
        console.print(f"round {number + 1} of {rounds}", style="dim")

    result = measure_pipeline(clip or CLIP, settings, rounds=rounds, on_round=on_round)
    numbers = asdict(result)
    del numbers["last_run"]
    if not json:
        print_report(console, result.last_run, [])
    _print(numbers, json=json)


@app.command("corpus")
def corpus(
    videos: Annotated[int, typer.Option(min=100, help="Number of empty videos.")] = 10_000,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the cost of `hamba corpus`'s driver: videos per second, and growth of its memory."""
    from dataclasses import asdict

    from pipeline.benchmarks.corpus import measure_corpus

    _print(asdict(measure_corpus(videos, workers)), json=json)


@app.command("python")
def python(
    clip: Annotated[Path | None, typer.Argument(help="A video file. \\[default: the shipped clip]")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Number of runs of each.")] = 3,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """HandPipeline in a plain loop against a run with its threads, both on one core."""
    from dataclasses import asdict

    from pipeline.benchmarks.synchronous import measure_synchronous
    from pipeline.settings import load_settings
    from stages.assets import CLIP
    from stages.common.terminal import Terminal

    console = Terminal(stderr=True, quiet=json)
    settings = load_settings("offline", ["reconstruct.estimator=landmarks", "overlay.enabled=false"])

    def on_round(number: int) -> None:
        console.print(f"round {number} of {rounds}" if number else "warming up", style="dim")

    _print(asdict(measure_synchronous(clip or CLIP, settings, rounds=rounds, on_round=on_round)), json=json)


@app.command("model")
def model(
    release: Annotated[
        Path | None, typer.Argument(help="Hamba weights. \\[default: random ones of the released size]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    batches: Annotated[
        str | None, typer.Option(help="Hands per batch, such as 1,2,4. \\[default: 1,2,4 on a CPU, to 32 on a GPU]")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements of each.")] = 5,
    trace: Annotated[
        Path | None, typer.Option(help="Write a trace of the default variant to this file, for Perfetto or Chrome.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time the network against plain float32 and the machine's limit. Needs 8 GB of disk and some minutes."""
    from dataclasses import asdict

    from hamba_core.errors import OutputError
    from pipeline.benchmarks.model import measure_model
    from stages.common.terminal import Terminal

    if trace is not None and trace.exists():
        raise OutputError(f"{trace}: expected no such file, found one; name another")
    console = Terminal(stderr=True, quiet=json)
    result = measure_model(
        release,
        device=device,
        batches=_sizes(batches),
        rounds=rounds,
        trace=trace,
        on_step=lambda step: console.print(step, style="dim"),
    )
    numbers = asdict(result)
    if not json:
        _print_table([asdict(speed) for speed in result.batches])
        del numbers["batches"]
    _print(numbers, json=json)


def _sizes(text: str | None) -> tuple[int, ...] | None:
    """Return batch sizes as they were typed. Raises ConfigurationError."""
    from hamba_core.errors import ConfigurationError

    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ConfigurationError(f"--batches: expected numbers of hands such as 1,2,4, found {text!r}")
    return tuple(int(part) for part in parts)


def _print_table(rows: list[dict[str, object]]) -> None:
    for number, row in enumerate(rows):
        if number == 0:
            sys.stdout.write("".join(f"{name:>14}" for name in row) + "\n")
        sys.stdout.write("".join(f"{_short(value):>14}" for value in row.values()) + "\n")


@app.command("publish")
def publish(
    seconds: Annotated[float, typer.Option(min=1, help="Seconds per phase.")] = 10.0,
    stalled_seconds: Annotated[
        float, typer.Option(min=1, help="Seconds with a client that has stopped reading.")
    ] = 30.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Publishing two hands at 60 Hz: latency; slow, stalled and many clients; a publisher that restarts."""
    from dataclasses import asdict

    from pipeline.benchmarks.publishing import measure_publishing
    from stages.common.terminal import Terminal

    console = Terminal(stderr=True, quiet=json)
    result = measure_publishing(
        seconds=seconds, stalled_seconds=stalled_seconds, on_phase=lambda phase: console.print(phase, style="dim")
    )
    _print(asdict(result), json=json)


def _print(numbers: dict[str, object], *, json: bool) -> None:
    if json:
        from pipeline.terminal import print_json

        print_json(numbers, indent=2)
        return
    for name, value in numbers.items():
        if isinstance(value, dict):
            value = "  ".join(f"{part} {_short(number)}" for part, number in value.items())
        sys.stdout.write(f"{name:28} {_short(value)}\n")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
