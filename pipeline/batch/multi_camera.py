"""Several cameras run at once, each in a run of its own, in one process, so that they share the network.

Hands of all cameras go through the network together (`stages.reconstruction.hamba.sharing`). Each camera is a stream of
its own, with a number behind its name, published on an address of its own: the given one, and the ports after it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from rich.console import Console
from rich.text import Text

from hamba_core.errors import BrokenSourceError, ConfigurationError, HambaError
from pipeline.assembly import assemble
from pipeline.outputs import folders_of, prepare_folder
from pipeline.runtime import Runner
from pipeline.settings import Settings
from pipeline.terminal import (
    LiveLine,
    live_progress,
    print_json,
    print_report,
    report_tree,
    run_tidily,
    with_notes,
    written_in,
)
from stages.common.stop_signals import stopped_by_signals
from stages.common.terminal import Terminal
from stages.packets import Choice, Status
from stages.reconstruction import shared_network, uses_network
from stages.sources import source_for

_TCP = re.compile(r"(tcp://.*:)(\d+)")


@dataclass(eq=False)
class _Camera:
    name: str
    settings: Settings
    out: Path | None
    runner: Runner
    error: Exception | None = None

    def run(self) -> None:
        """Run to the end, and keep what it raises."""
        try:
            run_tidily(self.runner, self.out)
        except Exception as error:  # noqa: BLE001 - told at the end; the other cameras go on
            self.error = error


def run_cameras(
    sources: Sequence[str],
    settings: Settings,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    as_json: bool = False,
    on_status: Callable[[Status], None] = lambda status: None,
) -> int:
    """Run all until the last has ended, or Ctrl-C; then print a table for each, or JSON on standard output.

    Files go into a folder of each source's name in `out`. `on_status` is told each run's numbers once a second. Gives
    the exit status: 0 where nothing failed, 3 where some did, 2 where all did. Raises ConfigurationError, SourceError,
    OutputError, before any work.
    """
    if settings.mode != "live":
        raise ConfigurationError("several live sources at once: expected live mode, found offline; say --preset live")
    console = Terminal(stderr=True, quiet=as_json)
    shared = shared_network(settings.reconstruct) if uses_network(settings.reconstruct) else None
    folders = (
        [folder for _, folder in folders_of(sources, out, anew=False)] if out is not None else [None] * len(sources)
    )
    for folder in folders:
        if folder is not None:
            prepare_folder(folder, overwrite=overwrite)
    said: set[Choice] = set()
    cameras = []
    with live_progress(console) as progress:
        for number, (name, folder) in enumerate(zip(sources, folders, strict=True)):
            own, line = _settings_of(settings, number), LiveLine(progress, said)
            source = source_for(name, own.source, stream=own.stream)

            def tell(status: Status, line: LiveLine = line) -> None:
                line.update(status)
                on_status(status)

            runner = assemble(
                source, own, out=folder, on_open=line.opened, on_status=tell, on_step=line.opening, shared=shared
            )
            cameras.append(_Camera(name, own, folder, runner))
        threads = [Thread(target=camera.run, name=camera.name, daemon=True) for camera in cameras]
        with stopped_by_signals(*(camera.runner.stop for camera in cameras)):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    status = _exit_status(cameras)
    for camera in cameras:
        _print(console, camera)
    if as_json:
        print_json({"sources": [_tree(camera) for camera in cameras], "exit_status": status})
    return status


def _settings_of(settings: Settings, number: int) -> Settings:
    """Return the settings with a stream's name of its own and, where hands are published, an address of its own."""
    address = settings.publish.address
    publish = settings.publish.model_copy(update={"address": address and address_after(address, number)})
    return settings.model_copy(update={"stream": f"{settings.stream[:60]}-{number + 1}", "publish": publish})


def address_after(address: str, number: int) -> str:
    """Return the address for a camera, numbered from 0: so many ports on, or with the number behind it."""
    if number == 0 or address.endswith(":*"):
        return address
    if found := _TCP.fullmatch(address):
        return f"{found[1]}{int(found[2]) + number}"
    return f"{address}-{number + 1}"


def _exit_status(cameras: Sequence[_Camera]) -> int:
    failed = [camera for camera in cameras if camera.error is not None]
    if not failed:
        return 0
    return HambaError.exit_status if len(failed) == len(cameras) else BrokenSourceError.exit_status


def _print(console: Console, camera: _Camera) -> None:
    settings, report = camera.settings, camera.runner.report
    where = f" on {settings.publish.address}" if settings.publish.address else ""
    console.print(Text.assemble("\n", (camera.name, "bold"), f", stream {settings.stream}{where}"), highlight=False)
    if report is not None and report.frames:
        print_report(console, report, [str(path) for path in written_in(camera.out)], live=True)
    if camera.error is not None:
        console.print(Text.assemble(("failed", "red"), " ", _reason(camera.error)), highlight=False, soft_wrap=True)


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, HambaError) else f"unexpected {type(error).__name__}: {error}"
    return with_notes(text, error)


def _tree(camera: _Camera) -> dict[str, object]:
    report = camera.runner.report
    return {
        "source": camera.name,
        "stream": camera.settings.stream,
        "address": camera.settings.publish.address,
        "error": None if camera.error is None else _reason(camera.error),
        "report": None if report is None else report_tree(report, written_in(camera.out)),
    }
