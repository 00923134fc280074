"""The scores of a submission as FreiHAND's and HO-3D's own evaluations compute them, and what they leave out."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import SourceError, error_reason
from hamba_core.metrics import (
    distances,
    f_scores,
    mirrored,
    pck_curve,
    procrustes,
    procrustes_aligned,
    scale_and_root_aligned,
)
from hamba_core.untrusted import ARCHIVE_ERRORS, decode_json, unpack_entry
from pipeline.evaluation.published_files import read_list
from pipeline.evaluation.scores import Tree, plain

_LARGEST: Final = 2 * 2**30
"""Bytes of a submission: 11,524 pictures of HO-3D take 350 MB as JSON."""


@dataclass(frozen=True, eq=False)
class Submission:
    """Points of each picture, metres: joints (N, 21, 3) and vertices (N, V, 3)."""

    joints: Array
    vertices: Array


def read_submission(path: Path) -> Submission:
    """Read a zip with `pred.json` in it, or that file. Raises SourceError."""
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.endswith(".json")]
                if len(names) != 1:
                    raise SourceError(f"{path}: expected one JSON file in the archive, found {len(names)}")
                data = unpack_entry(archive, names[0], _LARGEST)
        else:
            data = path.read_bytes()
        content = decode_json(data, object)
    except (*ARCHIVE_ERRORS, OSError, ValueError) as error:
        raise SourceError(
            f"{path}: expected a submission (pred.zip or pred.json), found: {error_reason(error)}"
        ) from error
    if not isinstance(content, list) or len(content) != 2:
        raise SourceError(f"{path}: expected a list of joints and vertices, found something else")
    joints, vertices = (_points(part, f"{path}: {name}") for part, name in zip(content, _NAMES, strict=True))
    if joints.shape[1] != 21 or len(joints) != len(vertices):
        raise SourceError(
            f"{path}: expected 21 joints and a mesh for each picture, found {joints.shape} and {vertices.shape}"
        )
    return Submission(joints, vertices)


_NAMES: Final = ("joints", "vertices")


def read_truth(folder: Path) -> Submission:
    """Read `evaluation_xyz.json` and `evaluation_verts.json` of a data set. Raises SourceError."""
    files = (folder / "evaluation_xyz.json", folder / "evaluation_verts.json")
    joints, vertices = (_points(read_list(file), str(file)) for file in files)
    if joints.shape[1] != 21 or len(joints) != len(vertices):
        raise SourceError(
            f"{folder}: expected 21 joints and a mesh for each picture, found {joints.shape} in {files[0].name} and "
            f"{vertices.shape} in {files[1].name}"
        )
    return Submission(joints, vertices)


def _points(content: Any, name: str) -> Array:
    try:
        points = np.asarray(content, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{name}: expected points (pictures, N, 3), found: {error}") from error
    if points.ndim != 3 or points.shape[2] != 3 or not np.isfinite(points).all():
        raise SourceError(f"{name}: expected finite points (pictures, N, 3), found {points.shape}")
    return points


def score_submission(
    own: Submission, truth: Submission, *, ho3d: bool = False, on_progress: Callable[[float], None] = lambda share: None
) -> Tree:
    """Return all scores, millimetres and shares; if there are fewer answers than pictures, those of the answers.

    As published: joints and mesh are aligned each for itself, by a similarity that may mirror; errors are means over
    all points and pictures; F-scores and curves are those of `hamba_core.metrics`. Beside them stands what the
    published evaluations cannot see: how many answers are mirrored. A mesh that does not have the truth's vertices is
    aligned by the joints. `ho3d` adds that set's second alignment. Raises SourceError if there is nothing to compare.
    """
    count = len(own.joints)
    if not 0 < count <= len(truth.joints):
        raise SourceError(f"expected 1 to {len(truth.joints)} answers, found {count}; is this their data set?")
    same_mesh = own.vertices.shape[1] == truth.vertices.shape[1]
    joints, true, mesh = own.joints, truth.joints[:count], truth.vertices[:count]
    aligned = procrustes_aligned(joints, true, reflection=True)
    if same_mesh:
        aligned_mesh = procrustes_aligned(own.vertices, mesh, reflection=True)
    else:
        aligned_mesh = procrustes(joints, true, reflection=True).apply(own.vertices)
    kinds = {"joints": distances(joints, true), "joints_aligned": distances(aligned, true)}
    if ho3d:
        kinds["joints_scale_and_root"] = distances(scale_and_root_aligned(joints, true), true)
    if same_mesh:
        kinds |= {"mesh": distances(own.vertices, mesh), "mesh_aligned": distances(aligned_mesh, mesh)}
    f, f_aligned = np.empty((count, 2)), np.empty((count, 2))
    for number in range(count):
        f[number] = f_scores(own.vertices[number], mesh[number])
        f_aligned[number] = f_scores(aligned_mesh[number], mesh[number])
        on_progress((number + 1) / count)
    curves = {name: pck_curve(errors) for name, errors in kinds.items()}
    tree = {
        "kind": "published",
        "pictures": count,
        "of": len(truth.joints),
        "vertices": own.vertices.shape[1],
        "same_mesh": same_mesh,
        "errors": {name: 1e3 * float(errors.mean()) for name, errors in kinds.items()},
        "auc": {name: curve.auc for name, curve in curves.items()},
        "pck": {name: curve.share for name, curve in curves.items()},
        "f5": float(f[:, 0].mean()),
        "f15": float(f[:, 1].mean()),
        "f5_aligned": float(f_aligned[:, 0].mean()),
        "f15_aligned": float(f_aligned[:, 1].mean()),
        "mirrored": float(mirrored(joints, true).mean()),
        "joint_errors": {name: 1e3 * kinds[name].mean(0) for name in ("joints", "joints_aligned")},
        "by_picture": 1e3 * kinds["joints_aligned"].mean(1),
    }
    result: Tree = plain(tree)
    return result
