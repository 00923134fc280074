"""The report of a submission's scores: tables beside published ones, plots, and the worst pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import SourceError
from hamba_core.hand import JOINT_NAMES, JOINTS_FROM_MODEL
from hamba_core.metrics import AUC_MOST, procrustes_aligned
from hamba_core.view import Intrinsics
from pipeline.evaluation.plots import COLOURS, plot
from pipeline.evaluation.published_data import FreiHand, Ho3d, PublishedData
from pipeline.evaluation.published_scores import Submission
from pipeline.evaluation.report import Page, Plot, Table, Tile, Tiles, number
from pipeline.evaluation.scores import Tree

_KINDS: Final = (
    ("joints", "joints"), ("joints_aligned", "joints, aligned"), ("joints_scale_and_root", "joints, scale and root"),
    ("mesh", "mesh"), ("mesh_aligned", "mesh, aligned"),
)  # fmt: skip
_ON_FREIHAND: Final = (("Hamba, paper, with TTA", "–", "5.3", "–", "0.992"), ("Hamba, paper", "–", "5.5", "–", "0.991"))
"""PA-MPJPE and PA-MPVPE, mm, F@5 and F@15 aligned (Dong et al., NeurIPS 2024)."""
_ON_HO3D: Final = (("MaskHand, version 3", "7.0", "7.0", "0.663", "0.984"),)
"""The same on HO-3D (its entry on Papers with Code)."""
_WORST: Final = 12
_TILE: Final = 240  # px


def score_tables(tree: Tree, *, ho3d: bool) -> list[Table]:
    """Return tables of all scores, and of published ones beside them."""
    errors, auc = tree["errors"], tree["auc"]
    names = {"joints": "MPJPE", "joints_aligned": "PA-MPJPE", "joints_scale_and_root": "MPJPE, scale and root",
             "mesh": "MPVPE", "mesh_aligned": "PA-MPVPE"}  # fmt: skip
    rows = [(names[kind], number(errors[kind], 3), number(auc[kind], 4)) for kind, _ in _KINDS if kind in errors]
    some = "" if tree["pictures"] == tree["of"] else f" Only the first {tree['pictures']} of {tree['of']} pictures."
    mesh = "" if tree["same_mesh"] else (
        f" The mesh has {tree['vertices']} vertices, not the truth's: it has no vertex errors, and is aligned by the "
        "joints. The published script gives such meshes other F-scores after alignment, for it turns them about their "
        "own middle."
    )  # fmt: skip
    f = [("F@5", number(tree["f5"], 4), number(tree["f5_aligned"], 4)),
         ("F@15", number(tree["f15"], 4), number(tree["f15_aligned"], 4))]  # fmt: skip
    tables = [
        Table("Errors", ("measure", "mm", "AUC 0-50 mm"), tuple(rows), some.strip() + mesh),
        Table(
            "F-scores", ("measure", "as it is", "aligned"), tuple(f),
            f"{100 * tree['mirrored']:.2f} % of the answers are mirrored hands, which the alignment hides.",
        ),
    ]  # fmt: skip
    own = (
        "this submission", number(errors["joints_aligned"], 2), number(errors.get("mesh_aligned"), 2),
        number(tree["f5_aligned"], 3), number(tree["f15_aligned"], 3),
    )  # fmt: skip
    title, published = ("HO-3D beside a paper", _ON_HO3D) if ho3d else ("FreiHAND beside the paper", _ON_FREIHAND)
    tables.append(Table(title, ("", "PA-MPJPE mm", "PA-MPVPE mm", "F@5", "F@15"), (own, *published), "Aligned."))
    return tables


def score_page(tree: Tree, own: Submission, truth: Submission, folder: Path, *, ho3d: bool) -> Page:
    """Return the whole report; it has pictures if the data set's are in `folder`."""
    facts = (("pictures", f"{tree['pictures']} of {tree['of']}"), ("mesh", f"{tree['vertices']} vertices"))
    parts: list[Table | Plot | Tiles] = [*score_tables(tree, ho3d=ho3d), _curves(tree), _joints(tree, ho3d=ho3d)]
    worst = _worst(tree, own, truth, folder, ho3d=ho3d)
    if worst:
        parts.append(
            Tiles("The worst pictures", tuple(worst), "Found joints, aligned, in colours; true ones in white.")
        )
    return Page("Scores on HO-3D" if ho3d else "Scores on FreiHAND", facts, tuple(parts))


def _curves(tree: Tree) -> Plot:
    def draw(axes: Sequence[Any]) -> None:
        (axis,) = axes
        for colour, (kind, title) in zip(COLOURS[1:], [k for k in _KINDS if k[0] in tree["pck"]], strict=False):
            share = tree["pck"][kind]
            axis.plot(np.linspace(0, 1e3 * AUC_MOST, len(share)), share, color=colour,
                      label=f"{title}, area {tree['auc'][kind]:.3f}")  # fmt: skip
        axis.set(xlabel="mm", ylabel="share of points", xlim=(0, 1e3 * AUC_MOST), ylim=(0, 1))
        axis.legend(frameon=False, loc="lower right")

    return plot("Share of correct points", "By how many millimetres a point may be off.", (7, 3.6), 1, draw)


def _joints(tree: Tree, *, ho3d: bool) -> Plot:
    in_order = dict(zip(JOINTS_FROM_MODEL, JOINT_NAMES, strict=True))  # HO-3D has MANO's, the tips last
    names = [in_order[n] for n in range(21)] if ho3d else list(JOINT_NAMES)

    def draw(axes: Sequence[Any]) -> None:
        for axis, (kind, errors) in zip(axes, tree["joint_errors"].items(), strict=True):
            axis.bar(range(21), errors, color=COLOURS[1])
            axis.set_xticks(range(21), names, rotation=70, ha="right")
            axis.set(ylabel="mm", title=dict(_KINDS)[kind])
            axis.grid(visible=False, axis="x")

    return plot("Error by joint", "", (11, 3.4), 2, draw)


def _worst(tree: Tree, own: Submission, truth: Submission, folder: Path, *, ho3d: bool) -> list[Tile]:
    """Return the hands with the largest aligned errors, as far as their pictures are there."""
    tiles = []
    try:
        data: PublishedData = _ho3d(folder) if ho3d else FreiHand(folder)
        for place in np.argsort(tree["by_picture"])[::-1][:_WORST].tolist():
            sample = data.sample(place)
            aligned = procrustes_aligned(own.joints[place], truth.joints[place], reflection=True)
            true, found = (_pixels(sample.camera, data.in_camera(p)) for p in (truth.joints[place], aligned))
            caption = f"{tree['by_picture'][place]:.1f} mm · {sample.name}"
            tiles.append(_cut(Tile(sample.image, caption, true, found)))
    except SourceError:  # scores need no pictures
        return []
    return tiles


def _ho3d(folder: Path) -> Ho3d:
    """Return the set in a folder; which version it is, its pictures tell."""
    try:
        data = Ho3d(folder, 3)
        data.sample(0)
    except SourceError:
        return Ho3d(folder, 2)
    return data


def _cut(tile: Tile) -> Tile:
    """Return the hand's part of the picture, a square, where that is larger than a tile."""
    import cv2

    height, width = tile.image.shape[:2]
    if tile.true is None or tile.found is None or max(height, width) <= _TILE:
        return tile
    both = np.concatenate([tile.true, tile.found])
    least, most = both.min(0), both.max(0)
    side = 1.3 * float((most - least).max())
    scale, corner = _TILE / side, (least + most - side) / 2
    to_tile = np.column_stack([scale * np.eye(2), -scale * corner])
    image = cv2.warpAffine(tile.image, to_tile, (_TILE, _TILE), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    true, found = ((scale * (joints - corner)).astype(np.float32) for joints in (tile.true, tile.found))
    return Tile(np.asarray(image, np.uint8), tile.caption, true, found)


def _pixels(camera: Intrinsics, points: Array) -> Any:
    return camera.project(points).astype(np.float32)
