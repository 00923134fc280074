"""Hands as sequences of meshes, PLY or OBJ: a file for each hand of each frame, with the normals of its vertices.

Metres, y up, as in the other scene files; `docs/formats.md` has the names.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats, AnyInts
from hamba_core.hand import vertex_normals
from stages.export.rig import R_FILE_CAMERA
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection

_BLOCK: Final = 32  # rows; the normals take several times the memory of the meshes, and fit a processor's cache

_PLY_FACE: Final = np.dtype([("count", "u1"), ("corners", "<i4", 3)])


def export_ply(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write binary PLY files. Raises SourceError where the recording has no vertices."""
    return _export(selection, folder, on_progress, "ply", ply_vertices, ply_faces)


def export_obj(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write OBJ files. Raises SourceError where the recording has no vertices."""
    return _export(selection, folder, on_progress, "obj", obj_vertices, obj_faces)


def ply_vertices(vertices: AnyFloats, normals: AnyFloats, faces: int) -> bytes:
    """Return header, vertices (V, 3) and normals (V, 3), float32, of a binary PLY file with so many faces."""
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment hamba-stream: metres, y up",
        f"element vertex {len(vertices)}",
        *(f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")),
        f"element face {faces}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    return "\n".join(header).encode() + np.concatenate([vertices, normals], 1).astype("<f4").tobytes()


def ply_faces(faces: AnyInts) -> bytes:
    """Return what follows the vertices: the faces (F, 3)."""
    records = np.empty(len(faces), _PLY_FACE)
    records["count"], records["corners"] = 3, faces
    return records.tobytes()


def obj_vertices(vertices: AnyFloats, normals: AnyFloats, faces: int) -> bytes:
    """Return the beginning of an OBJ file: vertices (V, 3), to a thousandth of a millimetre, and normals (V, 3)."""
    points, directions = "v %.6f %.6f %.6f\n" * len(vertices), "vn %.4f %.4f %.4f\n" * len(normals)
    text = points % tuple(vertices.ravel().tolist()) + directions % tuple(normals.ravel().tolist())
    return b"# hamba-stream: metres, y up\n" + text.encode()


def obj_faces(faces: AnyInts) -> bytes:
    """Return the end of an OBJ file: the faces (F, 3)."""
    corners = np.repeat(faces + 1, 2, 1)  # OBJ counts from 1; a vertex and its normal have the same number
    return ("f %d//%d %d//%d %d//%d\n" * len(faces) % tuple(corners.ravel().tolist())).encode()


def _export(
    selection: Selection,
    folder: Path,
    on_progress: Callable[[float], None],
    ending: str,
    vertices_in: Callable[[AnyFloats, AnyFloats, int], bytes],
    faces_in: Callable[[AnyInts], bytes],
) -> list[Path]:
    selection.check_vertices()
    count, rows_in_all = 0, sum(track.rows for track in selection.tracks)
    for track in selection.tracks:
        faces = selection.recording.topology.faces_of(track.side)
        tail = faces_in(faces)
        place = folder if track.picture else folder / f"{track.id}-{track.side}"
        place.mkdir(parents=True, exist_ok=True)
        for rows, meshes in track.blocks(_BLOCK):
            there = np.flatnonzero(rows["valid"])
            points = meshes[there] @ R_FILE_CAMERA
            normals = vertex_normals(points, faces)
            for number, mesh, directions in zip(rows["frame"][there].tolist(), points, normals, strict=True):
                name = f"{track.picture}-{track.id}-{track.side}".replace("/", "-") if track.picture else f"{number:06}"
                (place / f"{name}.{ending}").write_bytes(vertices_in(mesh, directions, len(faces)) + tail)
            count += len(rows)
            on_progress(count / rows_in_all)
    return [folder]
