"""The results of an evaluation are files in a folder: `numbers.json` for programs, `report.html` for people."""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from hamba_core.errors import OutputError, SourceError, error_reason
from pipeline.evaluation.report import Page, write_page
from pipeline.evaluation.scores import Tree
from pipeline.settings import Settings, flat_settings
from stages.assets import HAMBA_S_SHA256
from stages.common.files import write_whole

NUMBERS: Final = "numbers.json"
REPORT: Final = "report.html"
_NEEDED: Final = {"synthetic": ("estimator", "methods", "scenes", "frames", "hands", "motion", "joint_errors", "pck")}
"""Numbers without which runs cannot be shown side by side."""


def results_folder(out: Path | None, name: str) -> Path:
    """Return where results go: `out`, or the first of out/eval-<name>, out/eval-<name>-2, ... that holds none yet.

    Raises OutputError if `out` holds results already.
    """
    if out is not None:
        if (out / NUMBERS).exists() or (out / REPORT).exists():
            raise OutputError(f"{out}: expected a folder without results, found some; name another with --out")
        return out
    folder, number = Path("out") / f"eval-{name}", 2
    while (folder / NUMBERS).exists():
        folder, number = Path("out") / f"eval-{name}-{number}", number + 1
    return folder


def write_results(folder: Path, page: Page, tree: Tree) -> list[Path]:
    """Write both files, and return what was written. Raises OutputError."""
    numbers, report = folder / NUMBERS, folder / REPORT
    write_whole(numbers, json.dumps(tree, indent=1, allow_nan=False).encode() + b"\n")
    write_page(report, page)
    return [numbers, report]


def read_numbers(path: Path, kind: str) -> Tree:
    """Return the numbers of an earlier run, from its folder or its file. Raises SourceError."""
    file = path / NUMBERS if path.is_dir() else path
    try:
        tree = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(
            f"{file}: expected the numbers of an evaluation (JSON), found: {error_reason(error)}"
        ) from error
    if not isinstance(tree, dict) or tree.get("kind") != kind:
        found = tree.get("kind") if isinstance(tree, dict) else type(tree).__name__
        raise SourceError(f"{file}: expected the numbers of `hamba eval {kind}`, found those of {found!r}")
    if missing := [name for name in _NEEDED.get(kind, ()) if name not in tree]:
        raise SourceError(f"{file}: expected all numbers of `hamba eval {kind}`, found none of {', '.join(missing)}")
    return tree


def origin(settings: Settings, estimator: str) -> Tree:
    """Return what a run was made with: settings that are not the default's, the version, and hamba-s's weights."""
    changed = ", ".join(flat_settings(settings.model_dump(mode="json", exclude_defaults=True))) or "defaults"
    try:
        own = version("hamba-stream")
    except PackageNotFoundError:
        own = "unknown"
    weights = {"weights": f"hamba-s, SHA-256 {HAMBA_S_SHA256[:12]}..."} if estimator == "hamba-s" else {}
    return {"settings": changed, "version": own, **weights}
