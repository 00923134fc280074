"""Export one recording in any number of forms, as `hamba export` does."""

import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hamba_core.errors import ConfigurationError, OutputError, SourceError
from stages.common.files import output_error
from stages.export.settings import ExportSettings, Format
from stages.export.tracks import Selection, has_even_pace, resampled, select_tracks
from stages.recording import read_recording

logger = logging.getLogger(__name__)

Exporter = Callable[[Selection, Path, ExportSettings, Callable[[float], None]], list[Path]]
"""It writes a selection into a folder of its own, tells the share that is done, and returns the files it wrote.

What it leaves half done is thrown away. Several files become a folder; a single one of the target's name takes its
place.
"""

_EXPORTERS: Final[dict[Format, tuple[str, str]]] = {
    "npz": ("npz", "{}.npz"),
    "csv": ("joint_table", "{}.csv"),
    "parquet": ("parquet", "{}.parquet"),
    "openxr": ("openxr", "{}.openxr.jsonl"),
    "glb": ("glb.glb_file", "{}.glb"),
    "usd": ("usd", "{}.usdc"),
    "bvh": ("bvh", "{}-bvh"),
    "ply": ("mesh_files", "{}-ply"),
    "obj": ("mesh_files", "{}-obj"),
    "mp4": ("video", "{}.mp4"),
    "rosbag": ("rosbag", "{}-rosbag"),
    "lerobot": ("lerobot.dataset", "{}-lerobot"),
}
"""For each form the module in `formats` that has its `export_<form>`, and the name of the file or folder it becomes."""

_FRAMES: Final[tuple[Format, ...]] = ("mp4", "rosbag", "lerobot")
_COUNTED: Final[tuple[Format, ...]] = ("bvh", "glb")
"""Forms whose tools count frames."""

_READING: Final = 0.3  # of the progress


def export(
    recording_path: Path,
    folder: Path,
    settings: ExportSettings,
    on_progress: Callable[[float], None] = lambda share: None,
) -> list[Path]:
    """Write the recording's hands into `folder` in all forms of the settings, and return the new files and folders.

    Each is there as a whole or not at all. `on_progress` is told the share that is done, 0 to 1. Raises SourceError
    where the recording cannot be read or lacks what a form needs, OutputError where something cannot be written or is
    there already, HandModelError, DependencyError.
    """
    targets = {folder / target_of(recording_path, form): _exporter_of(form) for form in settings.formats}
    # These have the frames themselves.
    as_recorded = {folder / target_of(recording_path, form) for form in _FRAMES}
    return _export(recording_path, folder, settings, targets, as_recorded, on_progress)


def export_dataset(
    recording_paths: Sequence[Path],
    target: Path,
    settings: ExportSettings,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Path:
    """Write several recordings as episodes of one LeRobot data set, the folder `target`, which is whole or not there.

    Raises what `export` raises.
    """
    from stages.export.formats.lerobot.dataset import DatasetWriter

    _check_free(target, settings)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".export-", dir=target.parent) as name:
            work = Path(name)
            (work / "dataset").mkdir()
            writer = DatasetWriter(work / "dataset", settings)
            for number, path in enumerate(recording_paths):

                def progress(share: float, number: int = number) -> None:
                    on_progress((number + share) / len(recording_paths))

                recording = read_recording(path, settings.take)
                selection = select_tracks(recording, settings, work / f"tracks-{number}", lambda share: None)
                writer.add(selection, progress)
                shutil.rmtree(work / f"tracks-{number}")
            writer.close()
            if target.is_dir():
                shutil.rmtree(target)
            (work / "dataset").replace(target)
    except OSError as error:
        raise output_error(target, error) from error
    on_progress(1.0)
    return target


def export_as(
    exporter: Exporter,
    target: Path,
    recording_path: Path,
    settings: ExportSettings | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Path:
    """Write the recording's hands in a form of your own: `target` is the file, or folder, that `exporter` makes.

    Of the settings, the choice of hands, times and rate counts. Raises what `export` and the exporter raise.
    """
    settings = settings or ExportSettings()
    return _export(recording_path, target.parent, settings, {target: exporter}, set(), on_progress)[0]


def target_of(recording_path: Path, form: Format) -> str:
    """Return the name of the file or folder that a recording becomes."""
    return _EXPORTERS[form][1].format(recording_path.stem)


def _exporter_of(form: Format) -> Exporter:
    exporter: Exporter = getattr(import_module(f"stages.export.formats.{_EXPORTERS[form][0]}"), f"export_{form}")
    return exporter


def _export(
    recording_path: Path,
    folder: Path,
    settings: ExportSettings,
    targets: Mapping[Path, Exporter],
    as_recorded: Set[Path],
    on_progress: Callable[[float], None],
) -> list[Path]:
    recording = read_recording(recording_path, settings.take)
    if settings.hand_model is not None and recording.run.hand_model == "generic":
        raise ConfigurationError(
            f"{settings.hand_model}: expected no hand model for a recording of the generic hand, which is shipped; "
            "leave --hand-model out"
        )
    times = [f"--{name}" for name in ("start", "end", "rate") if getattr(settings, name) is not None]
    if recording.run.source.stills and times:
        raise ConfigurationError(
            f"{', '.join(times)}: expected a recording of a video or of a scene, found one of single pictures, "
            "which have no times; leave it out"
        )
    for target in targets:
        _check_free(target, settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".export-", dir=folder) as name:
            work = Path(name)
            recorded = select_tracks(recording, settings, work / "tracks", lambda share: on_progress(_READING * share))
            selection = recorded if settings.rate is None else resampled(recorded, settings.rate, work / "resampled")
            at_frames = _at_frames(recorded, settings, targets, as_recorded, work)
            for number, (target, exporter) in enumerate(targets.items()):
                begin, part = _READING + (1 - _READING) * number / len(targets), (1 - _READING) / len(targets)

                def progress(share: float, begin: float = begin, part: float = part) -> None:
                    on_progress(begin + part * share)

                hands = recorded if target in as_recorded else at_frames.get(target, selection)
                _write(exporter, hands, work / str(number), target, settings, progress)
    except OSError as error:
        raise output_error(folder, error) from error
    on_progress(1.0)
    return list(targets)


def _at_frames(
    recorded: Selection, settings: ExportSettings, targets: Iterable[Path], as_recorded: Set[Path], work: Path
) -> dict[Path, Selection]:
    """Return what is written, in forms whose tools count frames, of a recording without an even pace.

    A phone's video has no even pace, nor has a camera that is short of light.
    """
    counting = {target_of(recorded.recording.path, form): form for form in _COUNTED}
    wanted = [target for target in targets if target.name in counting and target not in as_recorded]
    if not wanted or settings.rate is not None or recorded.pictures or has_even_pace(recorded):
        return {}
    try:
        even = resampled(recorded, recorded.rate, work / "even")
    except SourceError:  # no hand is there for two frames on end
        return {}
    logger.warning(
        "%s: the recording has no even pace: keys are interpolated at its mean of %.4g a second; or name a --rate",
        ", ".join(counting[target.name] for target in wanted),
        recorded.rate,
    )
    return dict.fromkeys(wanted, even)


def _check_free(target: Path, settings: ExportSettings) -> None:
    if target.exists() and not settings.overwrite:
        raise OutputError(
            f"{target}: expected no such file yet, found one, and it is not overwritten; "
            "name another folder with --out, or say --overwrite"
        )


def _write(
    exporter: Exporter,
    selection: Selection,
    work: Path,
    target: Path,
    settings: ExportSettings,
    on_progress: Callable[[float], None],
) -> None:
    work.mkdir()
    written = exporter(selection, work, settings, on_progress)
    if target.is_dir():
        shutil.rmtree(target)
    if len(written) == 1 and written[0].name == target.name:
        written[0].replace(target)
    else:
        work.replace(target)
