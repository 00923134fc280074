"""`hamba run` and `hamba demo`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hamba_core.errors import ConfigurationError, error_reason
from pipeline.commands import run_options as options
from pipeline.terminal import INTERRUPTED

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from stages.export import ExportSettings
    from stages.packets import Status


def run(
    source: options.Sources = None,
    source_file: options.SourceFile = None,
    from_: options.From = None,
    to: options.To = None,
    out: options.Out = None,
    preset: options.Preset = None,
    estimator: options.Estimator = None,
    checkpoint: options.Checkpoint = None,
    hand_model: options.HandModel = None,
    overlay: options.Overlay = None,
    publish: options.Publish = None,
    address: options.PublishAddress = None,
    wait: options.Wait = False,
    view: options.View = False,
    health: options.Health = None,
    max_hands: options.MaxHands = None,
    set_: options.Set = None,
    export: options.Export = None,
    jobs: options.Jobs = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> int:
    """Reconstruct the hands in SOURCE: record them, draw them, publish them.

    --jobs and --resume apply the rules for several sources to a single one too.
    """
    from pipeline.batch import run_batch, run_cameras, sources_of
    from pipeline.settings import load_settings
    from pipeline.terminal import export_settings

    values = {
        "source.start": from_,
        "source.end": to,
        "reconstruct.estimator": estimator,
        "reconstruct.checkpoint": checkpoint,
        "reconstruct.hand_model": hand_model,
        "overlay.enabled": overlay,
        "detect.max_hands": max_hands,
        "publish.images": view or None,
        "source.live.wait": wait or None,
    }
    given = {key: value for key, value in values.items() if value is not None}
    named = _named(source or [], source_file)
    sources = sources_of(named)
    way = _way_of(named, sources, batch=jobs is not None or resume)
    settings = load_settings(
        preset or _preset_for(way, sources[0]), set_ or (), {**given, **_publishing(publish, address, view=view)}
    )
    exports = export_settings(export, settings, overwrite=overwrite) if export is not None else None
    if way == "cameras":
        if view or exports is not None:
            raise ConfigurationError(
                "several live sources at once: expected neither --view nor --export, found one of them; start "
                "`hamba view ADDRESS` for each, and `hamba export` afterwards"
            )
        with _health(health) as on_status:
            return run_cameras(sources, settings, out=out, overwrite=overwrite, as_json=json, on_status=on_status)
    with _window(settings) if view else nullcontext():
        if way == "batch":
            if health is not None:
                raise ConfigurationError("--health: expected one source, or live ones at once, found a batch")
            rules: dict[str, Any] = {"overwrite": overwrite, "resume": resume, "jobs": jobs or 1, "as_json": json}
            return run_batch(sources, settings, exports, out=out, **rules)
        one = sources[0] if len(sources) == 1 else list(sources)
        with _health(health) as on_status:
            return _run_one(
                one, settings, exports, out, drawn=bool(overlay), overwrite=overwrite, as_json=json, on_status=on_status
            )


def _named(sources: Sequence[str], source_file: str | None) -> list[str]:
    """Return all sources that are named, on the command line and in a file, each as it may be shown."""
    from stages.sources.address import read_source_file, source_name

    try:
        more = read_source_file(source_file) if source_file is not None else []
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"--source-file {source_file}: expected a text file with a source a line, found: {error_reason(error)}"
        ) from error
    if not sources and not more:
        raise ConfigurationError("expected a video, a camera's number or another source, found none: hamba run --help")
    return [source_name(name) for name in (*sources, *more)]


def _way_of(given: Sequence[str], sources: Sequence[str], *, batch: bool) -> Literal["one", "batch", "cameras"]:
    """Return how these sources are run: one alone, cameras at once, or files one after another.

    Pictures that are listed one by one, as a shell does with shots/*.jpg, are one source.
    """
    from stages.sources import are_pictures

    if len(sources) < len(given) and all(map(_is_live, given)):
        raise ConfigurationError(f"several live sources: expected each once, found {', '.join(given)}")
    if len(sources) > 1 and not batch and all(map(_is_live, sources)):
        return "cameras"
    if not batch and len(sources) > 1 and are_pictures(sources):
        return "one"
    return "batch" if batch or len(sources) > 1 or list(sources) != list(given) else "one"


def _preset_for(way: str, source: str) -> str:
    from stages.sources import source_for

    return "live" if way == "cameras" or (way == "one" and source_for(source).live) else "offline"


def _publishing(publish: bool | None, address: str | None, *, view: bool) -> dict[str, str | None]:
    """Return the settings that the command line gives for publishing; none where it is silent."""
    from stages.common.address import DEFAULT_ADDRESS

    if publish is False and address is not None:
        raise ConfigurationError("--address and --no-publish: expected one of them, found both")
    if publish is None and not view and address is None:
        return {}
    return {"publish.address": None if publish is False else address or DEFAULT_ADDRESS}


def _run_one(
    source: str | list[str],
    settings: "Settings",
    exports: "ExportSettings | None",
    out: Path | None,
    *,
    drawn: bool,
    overwrite: bool,
    as_json: bool,
    on_status: "Callable[[Status], None]",
) -> int:
    from pipeline.outputs import default_folder
    from pipeline.terminal import run_session
    from stages.sources import source_for

    if out is None and settings.mode == "offline":
        name = source if isinstance(source, str) else str(Path(source[0]).parent.resolve())
        out = default_folder(name, overwrite=overwrite)
    if exports is not None and out is None:
        raise ConfigurationError("--export: expected --out, since a live run records nothing without it")
    if drawn and out is None:
        raise ConfigurationError("--overlay: expected --out, since a live run draws nothing without it")
    opened = source_for(source, settings.source, stream=settings.stream)
    status = run_session(
        opened, settings, out=out, exports=exports, overwrite=overwrite, as_json=as_json, on_status=on_status
    )
    # A live run has no other end than being stopped.
    return INTERRUPTED if status.state == "stopped" and settings.mode == "offline" else 0


@contextmanager
def _health(address: str | None) -> Iterator["Callable[[Status], None]"]:
    """Answer supervisors while the block runs, where asked to; give what is told each run's numbers."""
    if address is None:
        yield lambda status: None
        return
    from pipeline.health import health_server

    with health_server(address) as health:
        yield health.update


def _is_live(source: str) -> bool:
    """Return whether it names a live source; what is wrong with it is said when its turn comes."""
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
    json: options.Json = False,
) -> int:
    """Reconstruct the hands of the shipped clip with the shipped network, into a folder to look at."""
    from pipeline.settings import load_settings
    from pipeline.terminal import run_session
    from stages.assets import CLIP
    from stages.common.terminal import tell
    from stages.sources import source_for

    settings = load_settings("offline", ["reconstruct.estimator=hamba-s"])
    status = run_session(source_for(str(CLIP)), settings, out=out, overwrite=True, as_json=json)
    if not json:
        tell(
            f"\nLook at {out}/overlay.mp4 and {out}/preview.png. "
            "Your own: hamba run VIDEO, or hamba run 0 for a camera."
        )
    return INTERRUPTED if status.state == "stopped" else 0
