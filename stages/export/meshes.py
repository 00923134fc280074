"""Hands as sequences of meshes, PLY or OBJ: a file for each hand of each frame, with the normals of its vertices.

Metres, y up, as in the other scene files; `docs/formats.md` has the names.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import SourceError
from stages.export.normals import vertex_normals
from stages.export.settings import ExportSettings
from stages.export.skeleton_rig import R_FILE_CAMERA
from stages.export.tracks import Take

Array = NDArray[np.floating]
Faces = NDArray[np.integer]

_PLY_FACE: Final = np.dtype([("count", "u1"), ("corners", "<i4", 3)])


def export_ply(take: Take, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]) -> list[Path]:
    """Write binary PLY files. Raises SourceError where the recording has no vertices."""
    return _export(take, folder, on_progress, "ply", ply_bytes)


def export_obj(take: Take, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]) -> list[Path]:
    """Write OBJ files. Raises SourceError where the recording has no vertices."""
    return _export(take, folder, on_progress, "obj", obj_bytes)


def ply_bytes(vertices: Array, normals: Array, faces: Faces) -> bytes:
    """A mesh (V, 3), (V, 3), (F, 3) as binary PLY, float32."""
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment hamba-stream: metres, y up",
        f"element vertex {len(vertices)}",
        *(f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    records = np.empty(len(faces), _PLY_FACE)
    records["count"], records["corners"] = 3, faces
    points = np.concatenate([vertices, normals], 1).astype("<f4")
    return "\n".join(header).encode() + points.tobytes() + records.tobytes()


def obj_bytes(vertices: Array, normals: Array, faces: Faces) -> bytes:
    """A mesh (V, 3), (V, 3), (F, 3) as OBJ, to a thousandth of a millimetre."""
    points, directions = ("v %.6f %.6f %.6f\n" * len(vertices), "vn %.4f %.4f %.4f\n" * len(normals))
    corners = np.repeat(faces + 1, 2, 1)  # OBJ counts from 1; a vertex and its normal have the same number
    text = (
        "# hamba-stream: metres, y up\n"
        + points % tuple(vertices.ravel().tolist())
        + directions % tuple(normals.ravel().tolist())
        + "f %d//%d %d//%d %d//%d\n" * len(faces) % tuple(corners.ravel().tolist())
    )
    return text.encode()


def _export(
    take: Take,
    folder: Path,
    on_progress: Callable[[float], None],
    ending: str,
    to_bytes: Callable[[Array, Array, Faces], bytes],
) -> list[Path]:
    paths, count, rows_in_all = [], 0, sum(track.rows for track in take.tracks)
    for track in take.tracks:
        if not track.vertices:
            raise SourceError(
                f"{take.recording.path}: expected vertices in the recording, found none; "
                "record with record.vertices=float32"
            )
        faces = take.recording.topology.faces_of(track.side)
        place = folder / f"{track.id}-{track.side}"
        place.mkdir(parents=True)
        for rows, meshes in track.blocks():
            points = meshes @ R_FILE_CAMERA
            there = np.flatnonzero(rows["valid"])
            normals = vertex_normals(points[there], faces)
            for number, mesh, directions in zip(rows["frame"][there].tolist(), points[there], normals, strict=True):
                path = place / f"{number:06}.{ending}"
                path.write_bytes(to_bytes(mesh, directions, faces))
                paths.append(path)
            count += len(rows)
            on_progress(count / rows_in_all)
    return paths
