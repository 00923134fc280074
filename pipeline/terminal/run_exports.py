"""A run can export its own recording once it has ended."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from hamba_core.errors import ConfigurationError, SourceError
from pipeline.settings import Settings
from stages.export import ExportSettings, Format, export, formats_in, target_of
from stages.recording import RECORDING, read_recording
from stages.sources import source_for

_OF_SURFACES: Final = ("ply", "obj", "usd")
_REREAD: Final = ("file", "image", "images", "synthetic")


def export_settings(text: str, run: Settings, *, overwrite: bool) -> ExportSettings:
    """Return settings for formats as in "glb,npz". Raises ConfigurationError for an unknown format."""
    formats = formats_in(text)
    if not run.record.enabled:
        raise ConfigurationError("--export: expected a recording to export from, found record.enabled=false")
    surfaces = [form for form in formats if form in _OF_SURFACES]
    if surfaces and run.record.vertices == "none":
        raise ConfigurationError(
            f"--export {','.join(surfaces)}: expected vertices in the recording, found record.vertices=none; "
            "leave these forms or that setting out"
        )
    model = run.reconstruct.hand_model
    return ExportSettings(
        formats=formats,
        hand_model=None if model == "generic" else Path(model),
        overwrite=overwrite,
    )


def missing_exports(folder: Path, formats: tuple[Format, ...]) -> tuple[Format, ...]:
    """Return the formats that the recording in `folder` was not exported to yet."""
    return tuple(form for form in formats if not (folder / target_of(folder / RECORDING, form)).exists())


def export_results(folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]) -> list[Path]:
    """Export the recording in `folder` beside it. A video shows hands over the run's source if that can be read again.

    Raises what `stages.export.export` raises.
    """
    source = read_recording(folder / RECORDING).run.source
    if source.kind in _REREAD and not source.live and _is_there(source.name):
        settings = settings.model_copy(update={"source": source.name})
    return export(folder / RECORDING, folder, settings, on_progress)


def _is_there(name: str) -> bool:
    """Return whether a source is opened by its name: one of listed pictures has none of its own."""
    try:
        source_for(name)
    except SourceError:
        return False
    return True
