"""`hamba record`: what another process publishes, into a file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hamba_core.text import counted
from pipeline.commands.options import Address, ClientKey, ServerKey
from stages.common.address import DEFAULT_ADDRESS


def record(
    address: Address = DEFAULT_ADDRESS,
    out: Annotated[Path, typer.Option(help="Folder for the recording.")] = Path("out/recorded"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier recording in --out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON on standard output.")] = False,
    server_key: ServerKey = None,
    client_key: ClientKey = None,
) -> None:
    """Record published hands into OUT/hands.mcap until their run ends or Ctrl-C; the report counts lost messages."""
    from pipeline.given_names import check_published
    from pipeline.outputs import prepare_folder, remove_empty_results
    from pipeline.terminal import keep_report, print_json, print_report, report_tree
    from stages.common.stop_signals import stopped_by_signals
    from stages.common.terminal import Terminal
    from viewers.client import HandClient
    from viewers.remote_recorder import RemoteRecorder
    from viewers.terminal_line import TerminalLine
    from viewers.watch import Watch

    check_published(address)
    prepare_folder(out, overwrite=overwrite)
    console = Terminal(stderr=True, quiet=json)
    with (
        HandClient(address, server_key=server_key, client_key=client_key) as client,
        TerminalLine(console) as line,
    ):
        watch = Watch(client)

        going, reports = True, list[dict[str, Any]]()

        def go_on(recorder: RemoteRecorder) -> bool:
            if line.due:
                state = watch.numbers().words
                line.show(state, f"{state}  {counted(recorder.frames, 'frame')} recorded  {client.lost} lost")
            return going

        def stop() -> None:
            nonlocal going
            going = False

        with stopped_by_signals(stop):
            try:
                for recording in RemoteRecorder(client, out, go_on).run():
                    line.hide()
                    print_report(console, recording.status, [str(recording.path)])
                    reports.append(report_tree(recording.status, [recording.path]))
                if not reports:
                    line.hide()
                    remove_empty_results(out)
                    console.print(f"nothing was recorded: nothing came from {address}", style="yellow", highlight=False)
                if json:
                    print_json({"recordings": reports})
            except Exception as error:
                keep_report(error, {"recordings": reports})
                raise
