"""`hamba run` and `hamba demo`."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hamba_core.errors import ConfigurationError
from pipeline.terminal import INTERRUPTED

if TYPE_CHECKING:
    from pipeline.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON on standard output, and nothing else.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")]


def run(
    source: Annotated[
        list[str],
        typer.Argument(
            help="A video or picture file, a folder or glob of pictures, a camera (0, /dev/video0), "
            "an address (rtsp://, http://, udp://), or synthetic: Several, or a folder or glob of videos, "
            "are run one after another, each into a folder of its own in --out; "
            "several cameras run at once.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results. [default: out/<source>, or out/<source>-2...; none for live runs]",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="live, offline, or a YAML file of settings. [default: live for cameras and streams, else offline]",
            show_default=False,
        ),
    ] = None,
    estimator: Annotated[
        str | None, typer.Option(help="auto, hamba or landmarks. [default: auto]", show_default=False)
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Hamba weights: a release folder, a checkpoint or a converted file.")
    ] = None,
    hand_model: Annotated[
        str | None, typer.Option(help="generic, or the path of your MANO file. [default: generic]", show_default=False)
    ] = None,
    overlay: Annotated[
        bool | None,
        typer.Option(
            "--overlay/--no-overlay", help="Draw the hands over the picture into a video.", show_default=False
        ),
    ] = None,
    publish: Annotated[
        bool | None,
        typer.Option(
            "--publish/--no-publish",
            help="Publish over ZeroMQ. [default: on for live, off for offline]",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Where to publish; implies --publish. [default: tcp://127.0.0.1:5557]")
    ] = None,
    view: Annotated[
        bool, typer.Option("--view", help="Open a window on the hands beside the run; implies --publish.")
    ] = False,
    max_hands: Annotated[
        int | None, typer.Option(help="Most hands to follow. [default: 2]", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Any setting, as often as needed.", show_default=False),
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(
            metavar="FORMATS",
            help="Export the recording at the end, as in glb,npz; see hamba export.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Several sources: processes at once. [default: 1]", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Several sources: skip the finished ones, repeat the broken ones.")
    ] = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Reconstruct the hands in SOURCE: record them, draw them, publish them.

    With --jobs or --resume, one source goes by the rules of several too.
    """
    from pipeline.batch import run_batch, run_cameras, sources_of
    from pipeline.outputs import default_folder
    from pipeline.settings import load_settings
    from pipeline.terminal import export_settings, run_session
    from stages.publishing import DEFAULT_ADDRESS
    from stages.sources import source_for

    if view or address is not None:
        publish = True if publish is None else publish
    options: dict[str, object] = {
        "reconstruct.estimator": estimator,
        "reconstruct.checkpoint": checkpoint,
        "reconstruct.hand_model": hand_model,
        "overlay.enabled": overlay,
        "detect.max_hands": max_hands,
        "publish.images": view or None,
    }
    values = {key: value for key, value in options.items() if value is not None}
    if publish is not None:
        values["publish.address"] = (address or DEFAULT_ADDRESS) if publish else None
    sources = sources_of(source)
    if len(sources) < len(source) and all(map(_is_live, source)):
        raise ConfigurationError(f"several live sources: expected each once, found {', '.join(source)}")
    together = len(sources) > 1 and jobs is None and not resume and all(map(_is_live, sources))
    batch = not together and (sources != source or len(sources) > 1 or jobs is not None or resume)
    name = sources[0]
    mode = "live" if together or (not batch and source_for(name).live) else "offline"
    settings = load_settings(preset or mode, set_ or (), values)
    exports = export_settings(export, settings, overwrite=overwrite) if export is not None else None
    if together:
        if view or exports is not None:
            raise ConfigurationError(
                "several live sources at once: expected neither --view nor --export, found one of them; start "
                "`hamba view ADDRESS` for each, and `hamba export` afterwards"
            )
        return run_cameras(sources, settings, out=out, overwrite=overwrite, as_json=json)
    if batch:
        with _window(settings) if view else nullcontext():
            return run_batch(
                sources,
                settings,
                exports,
                out=out,
                overwrite=overwrite,
                resume=resume,
                jobs=jobs or 1,
                as_json=json,
            )
    if out is None and settings.mode == "offline":
        out = default_folder(name, overwrite=overwrite)
    if exports is not None and out is None:
        raise ConfigurationError("--export: expected --out, since a live run records nothing without it")
    with _window(settings) if view else nullcontext():
        status = run_session(
            source_for(name, settings.source, stream=settings.stream),
            settings,
            out=out,
            exports=exports,
            overwrite=overwrite,
            as_json=json,
        )
    # A live run has no other end than being stopped.
    return INTERRUPTED if status.state == "stopped" and settings.mode == "offline" else 0


def _is_live(source: str) -> bool:
    """Whether it names a live source; what is wrong with it is said when its turn comes."""
    from hamba_core.errors import HambaError
    from stages.sources import source_for

    try:
        return source_for(source).live
    except HambaError:
        return False


def _window(settings: "Settings") -> AbstractContextManager[object]:
    from viewers.window import viewer_process

    if settings.publish.address is None or settings.publish.server_key is not None:
        found = "--no-publish" if settings.publish.address is None else "publish.server_key"
        raise ConfigurationError(
            f"--view: expected a run that publishes without CURVE keys, found {found}; start `hamba view` by hand"
        )
    return viewer_process(settings.publish.address)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/demo"),
    json: Json = False,
) -> int:
    """Reconstruct the hands of the shipped clip, with shipped parts alone, into a folder to look at."""
    from pipeline.settings import load_settings
    from pipeline.terminal import run_session
    from stages.assets import CLIP
    from stages.sources import source_for

    settings = load_settings("offline", ["reconstruct.estimator=landmarks"])
    status = run_session(source_for(str(CLIP)), settings, out=out, overwrite=True, as_json=json)
    if not json:
        sys.stderr.write(
            f"\nLook at {out}/overlay.mp4 and {out}/preview.png. "
            "Your own: hamba run VIDEO, or hamba run 0 for a camera.\n"
        )
    return INTERRUPTED if status.state == "stopped" else 0
