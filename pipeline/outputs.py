"""Folders for the files of runs: their names, and what an earlier run left in them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hamba_core.errors import OutputError
from stages.common.files import is_being_written
from stages.recording import RECORDING

OVERLAY = "overlay.mp4"
SUMMARY = "summary.json"
_RESULTS = (RECORDING, OVERLAY, "overlay-*.jpg", "preview.png", SUMMARY)


def default_folder(source: str, parent: Path = Path("out"), *, overwrite: bool = False) -> Path:
    """Return a folder for this source's results: out/clip, or out/clip-2 and so on where that holds some to keep."""
    stem = Path(source).stem if "://" not in source else source.partition("://")[2]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:60] or "hands"
    folder, number = parent / name, 2
    while holds_results(folder) and not overwrite:
        folder, number = parent / f"{name}-{number}", number + 1
    return folder


def folders_of(sources: Sequence[str], out: Path | None, *, anew: bool) -> Iterator[tuple[str, Path]]:
    """Yield each source with its folder. Without `out`, and where all is made `anew`, no folder holds results yet."""
    taken: set[Path] = set()
    for source in sources:
        folder = first = default_folder(source, out or Path("out"), overwrite=out is not None or not anew)
        number = 2
        while folder in taken:
            folder, number = first.with_name(f"{first.name}-{number}"), number + 1
        taken.add(folder)
        yield source, folder


def holds_results(folder: Path) -> bool:
    """Return whether an earlier run wrote here."""
    return next(_results(folder), None) is not None


def remove_empty_results(folder: Path) -> None:
    """Remove the files of a run that never had a frame, and the folder if nothing else is in it."""
    with suppress(OSError):
        for path in list(_results(folder)):
            path.unlink()
        folder.rmdir()


def _results(folder: Path) -> Iterator[Path]:
    return (path for pattern in _RESULTS for path in folder.glob(pattern))


def prepare_folder(folder: Path, *, overwrite: bool) -> None:
    """Make the folder, or make sure that nothing in it would be lost. Raises OutputError."""
    if holds_results(folder) and not overwrite:
        raise OutputError(
            f"{folder} already holds the results of a run, and they are not overwritten: "
            "name another folder with --out, or say --overwrite"
        )
    if any(map(is_being_written, _results(folder))):
        raise OutputError(
            f"{folder}: expected a folder for this run alone, found another run at work in it; wait for its end, or "
            "name another folder with --out"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in list(_results(folder)):
            path.unlink()
    except OSError as error:
        raise OutputError(
            f"cannot write to {folder}: expected a folder that can be made and written to, "
            f"found: {error.strerror or error}; name another with --out"
        ) from error
