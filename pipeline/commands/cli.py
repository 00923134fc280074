"""The `hamba` command.

Nothing heavy is imported here: each command imports what it needs when it is called, so that `hamba --help` is quick.
"""

import os
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from pipeline.commands import (
    bench,
    calibrate,
    cameras,
    convert,
    corpus,
    doctor,
    eval as eval_,
    export,
    info,
    keys,
    osc,
    play,
    record,
    retarget,
    ros,
    run,
    settings,
    train,
    view,
    vmc,
    web,
    weights,
)
from stages.common.stop_signals import interrupted_by_signals

app = typer.Typer(
    name="hamba",
    help="Live 3D hands from any camera or video.",
    epilog="Add --debug anywhere to see the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("demo")(run.demo)
app.command("cameras")(cameras.cameras)
app.command("view")(view.view)
app.command("web")(web.web)
app.command("record")(record.record)
app.command("play")(play.play)
app.command("info")(info.info)
app.command("export")(export.export)
app.command("convert")(convert.convert)
app.command("retarget")(retarget.retarget)
app.command("ros")(ros.ros)
app.command("vmc")(vmc.vmc)
app.command("osc")(osc.osc)
app.command("corpus")(corpus.corpus)
app.command("train")(train.train)
app.command("settings")(settings.settings)
app.command("calibrate")(calibrate.calibrate)
app.command("doctor")(doctor.doctor)
app.add_typer(eval_.app, name="eval")
app.add_typer(bench.app, name="bench")
app.add_typer(keys.app, name="keys")
app.add_typer(weights.app, name="weights")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hamba-stream {version('hamba-stream')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the command: errors of ours become a message and an exit status, never a traceback."""
    # Before NumPy is loaded: its matrices here are small, and BLAS threads that wait for the next one spin, which takes
    # the processor from the detector.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Before torch is loaded: its threads wait for one another some hundred times a hand. Where others want the cores,
    # each wait would spin through the time slice of the one that is waited for (docs/performance.md).
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    interrupted_by_signals()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be any bytes; as standard error does it
    from pipeline.terminal import leave, mend_streams, run_app, status_with_output
    from stages.common.terminal import log_to_terminal

    mend_streams()
    log_to_terminal()
    leave(status_with_output(run_app(app, sys.argv[1:])))


if __name__ == "__main__":
    main()
