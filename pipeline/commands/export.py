"""`hamba export`: a recording in formats that other programs read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hamba_core.errors import ConfigurationError
from pipeline.commands.options import Take

if TYPE_CHECKING:
    from stages.export import ExportSettings


def export(
    recording: Annotated[
        list[Path],
        typer.Argument(help="A recording (hands.mcap) or its folder; several for lerobot.", show_default=False),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="npz, csv, parquet, openxr, glb, usd, bvh, ply, obj, mp4, rosbag, lerobot; several with commas.",
            metavar="FORM[,FORM...]",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results. \\[default: the recording's]", show_default=False)
    ] = None,
    take: Take = None,
    tracks: Annotated[
        str | None, typer.Option(help="Track numbers, separated by commas. \\[default: all]", show_default=False)
    ] = None,
    side: Annotated[str | None, typer.Option(help="left or right. \\[default: both]", show_default=False)] = None,
    start: Annotated[float | None, typer.Option(metavar="S", help="Start, in seconds of the source.")] = None,
    end: Annotated[float | None, typer.Option(metavar="S", help="End, in seconds of the source.")] = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="HZ", help="Resample to this many frames per second. \\[default: as recorded]"),
    ] = None,
    one_shape: Annotated[
        bool,
        typer.Option(
            "--one-shape/--every-shape", help="glb, bvh: constant bone lengths along a track, or those of each frame."
        ),
    ] = True,
    vertices: Annotated[
        bool, typer.Option("--vertices", help="glb: the recorded meshes instead of skin and bones.")
    ] = False,
    hand_model: Annotated[
        Path | None, typer.Option(help="Your MANO file, for skin and bones of a MANO recording.", show_default=False)
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="mp4, lerobot: the video of the recording. \\[default: a plain background; as recorded]",
            show_default=False,
        ),
    ] = None,
    azimuth: Annotated[float, typer.Option(help="mp4 without --source: degrees around the hands.")] = 0.0,
    elevation: Annotated[float, typer.Option(help="mp4 without --source: degrees above them.")] = 0.0,
    distance: Annotated[
        float | None,
        typer.Option(metavar="M", help="mp4 without --source: distance from them. \\[default: the camera's]"),
    ] = None,
    video: Annotated[bool, typer.Option("--video/--no-video", help="lerobot: include the source's pictures.")] = True,
    task: Annotated[str | None, typer.Option(help="lerobot: the task, in words.", show_default=False)] = None,
    actions: Annotated[
        Path | None,
        typer.Option(help="lerobot: a robot's actions, .npz (from hamba retarget) or .csv.", show_default=False),
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(
            help="lerobot: arrays or columns of it, separated by commas. \\[default: all positions]", show_default=False
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files of an earlier export.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the written files as JSON.")] = False,
) -> None:
    """Write a recording's hands as arrays, animated scenes, meshes, tables or video."""
    from pipeline.given_names import recording_in
    from pipeline.terminal import print_json, share_bar
    from stages.common.terminal import Terminal, tell
    from stages.export import export as export_recording, export_dataset, formats_in

    paths = [recording_in(one) for one in recording]
    path = paths[0]
    forms = formats_in(to)
    if len(paths) > 1 and forms != ("lerobot",):
        raise ConfigurationError(
            f"expected one recording for --to {to}, found {len(paths)}; several become one data set of --to lerobot"
        )
    settings = _settings(
        formats=forms,
        take=take,
        tracks=_numbers(tracks),
        side=side and side.lower(),
        start=start,
        end=end,
        rate=rate,
        one_shape=one_shape,
        vertices=vertices,
        hand_model=hand_model,
        source=source,
        azimuth=azimuth,
        elevation=elevation,
        distance=distance,
        video=video,
        task=task,
        actions=actions,
        action=() if action is None else tuple(name.strip() for name in action.split(",")),
        overwrite=overwrite,
    )
    _check_options(settings)
    try:
        with share_bar(Terminal(stderr=True, quiet=json), "exporting") as on_progress:
            if len(paths) > 1:
                target = (out or Path("out")) / "hands-lerobot"
                written = [export_dataset(paths, target, settings, on_progress)]
            else:
                written = export_recording(path, out or path.parent, settings, on_progress)
    except KeyboardInterrupt:
        tell("stopped; forms that were finished are kept, the others left nothing")
        raise
    if json:
        print_json({"written": written})
    else:
        for file in written:
            tell(f"wrote {file}")


def _check_options(settings: "ExportSettings") -> None:
    """Refuse options that the formats chosen have no use for. Raises ConfigurationError."""
    forms = settings.formats
    found = ",".join(forms)
    turned = settings.azimuth != 0 or settings.elevation != 0 or settings.distance is not None
    for_lerobot = settings.task is not None or settings.actions is not None or not settings.video
    for given, needed, options in (
        (settings.vertices, "glb", "--vertices"),
        (settings.source is not None and "lerobot" not in forms, "mp4", "--source"),
        (for_lerobot, "lerobot", "--task, --actions and --no-video"),
        (bool(settings.action), "lerobot", "--action"),
        (turned, "mp4", "--azimuth, --elevation and --distance"),
    ):
        if given and needed not in forms:
            raise ConfigurationError(f"{options}: expected {needed} in --to, which alone they are for, found {found}")
    if not settings.one_shape and not {"glb", "bvh"} & {*forms}:
        raise ConfigurationError(f"--every-shape: expected glb or bvh in --to, which alone have bones, found {found}")
    if settings.rate is not None and {*forms} <= {"mp4", "rosbag"}:
        raise ConfigurationError(
            f"--rate: expected a form that is resampled, found {found}, which has the recorded frames"
        )
    if settings.action and settings.actions is None:
        raise ConfigurationError("--action: expected --actions beside it, the file that has them, found none")
    if turned and settings.source is not None:
        raise ConfigurationError(
            "--source: expected no --azimuth, --elevation or --distance beside it, since the video has its own view; "
            "leave the one or the others out"
        )


def _settings(**values: Any) -> "ExportSettings":
    from pydantic import ValidationError

    from pipeline.settings import explained
    from stages.export import ExportSettings

    try:
        return ExportSettings(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = f"--{problem['loc'][0]}: " if problem["loc"] else ""
        found = f", found {problem['input']!r}" if problem["loc"] else ""
        raise ConfigurationError(where + explained(problem["msg"]) + found) from None


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigurationError(
            f"--tracks: expected numbers with commas between them, as in 1,3, found {text!r}"
        ) from error
