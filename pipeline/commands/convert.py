"""`hamba convert`: a recording of the generic hand, with MANO's parameters."""

from pathlib import Path
from typing import Annotated

import typer

from hamba_core.errors import ConfigurationError
from hamba_core.text import counted
from pipeline.commands.options import Take


def convert(
    recording: Annotated[Path, typer.Argument(help="A recording (hands.mcap) or its folder.", show_default=False)],
    hand_model: Annotated[Path, typer.Option(help="Your MANO file, a folder or an archive.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the new recording. \\[default: the recording's, -mano]", show_default=False),
    ] = None,
    take: Take = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier recording in --out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the quality of the fit as JSON.")] = False,
) -> None:
    """Fit your MANO hand to a recording of the generic hand: a new recording with MANO's parameters and mesh."""
    from hamba_core.hand import read_mano
    from pipeline.given_names import recording_in
    from pipeline.outputs import prepare_folder
    from pipeline.terminal import print_json, share_bar
    from stages.common.terminal import Terminal, tell
    from stages.conversion import convert_recording, open_convertible
    from stages.recording import RECORDING

    path = recording_in(recording)
    open_convertible(path, take)
    model = read_mano(hand_model)
    home = path.resolve().parent
    folder = out or home.parent / f"{home.name or 'hands'}-mano"
    if folder.resolve() == home:
        raise ConfigurationError(f"--out {folder}: expected another folder than the recording's, which stays as it is")
    prepare_folder(folder, overwrite=overwrite)
    target = folder / RECORDING
    with share_bar(Terminal(stderr=True, quiet=json), "converting") as on_progress:
        residual = convert_recording(path, target, model, take, on_progress)
    if json:
        print_json({"written": target, "hands": residual.hands, "mean_m": residual.mean, "p95_m": residual.p95,
                    "worst_m": residual.worst})  # fmt: skip
    else:
        tell(f"wrote {target}: {counted(residual.hands, 'hand')}, {residual}")
