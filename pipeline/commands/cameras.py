"""`hamba cameras`: the cameras of this machine and their modes."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stages.sources.cameras import Camera


def cameras(
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with every mode and rate.")] = False,
) -> None:
    """List the cameras of this machine with their modes, and the mode that a run would use."""
    from stages.sources.cameras import list_cameras

    found = list_cameras()
    if json:
        from pipeline.terminal import print_json

        print_json([_tree(camera) for camera in found], indent=2)
    else:
        _print(found)


def _tree(camera: "Camera") -> dict[str, object]:
    from dataclasses import asdict

    return {**asdict(camera), "taken": _default_mode(camera)}


def _default_mode(camera: "Camera") -> dict[str, object] | None:
    """Return the mode that a run without settings asks for."""
    from stages.sources.cameras import mode_for
    from stages.sources.settings import CameraSettings

    taken = mode_for(camera.modes, CameraSettings())
    if taken is None:
        return None
    mode, rate = taken
    return {"format": mode.format, "width": mode.width, "height": mode.height, "rate": rate}


def _print(found: "list[Camera]") -> None:
    from rich.table import Table
    from rich.text import Text

    from stages.common.terminal import Terminal

    console = Terminal()
    if not found:
        console.print("There is no camera here. In a container, pass one through: --device /dev/video0", soft_wrap=True)
        return
    for camera in found:
        place = f", {camera.place}" if camera.place else ""
        console.print(Text.assemble((f"{camera.number}  {camera.name}", "bold"), f"  {camera.device}{place}"))
        if camera.problem:
            console.print(Text.assemble(("   cannot be used: ", "red"), camera.problem), soft_wrap=True)
        table = Table(box=None, padding=(0, 2), show_header=False)
        taken = _default_mode(camera) or {}
        for mode in camera.modes:
            is_taken = [mode.format, mode.width, mode.height] == list(taken.values())[:3]
            rates = ", ".join(f"{rate:g}" for rate in mode.rates)
            table.add_row(
                "*" if is_taken else " ",
                mode.format,
                f"{mode.width}x{mode.height}" if mode.width else "sizes are not told",
                f"{rates} pictures a second" if rates else "",
                "" if mode.ffmpeg else "FFmpeg does not read it",
            )
        if camera.modes:
            console.print(table)
    console.print(
        f"\nhamba run {found[0].number}, or hamba run 'camera:{found[0].name}'. "
        "* is the mode that it is opened in; for another one: "
        "--set source.camera.width=640 --set source.camera.height=480 --set source.camera.rate=60",
        soft_wrap=True,
    )
