"""Hands as NumPy arrays: one .npz, which any NumPy opens without unpickling anything.

Everything is as in the recording: metres, pixels, the camera frame. The arrays are written piece by piece, so that
memory stays flat; they are not packed, since floating-point numbers hardly shrink and would take minutes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hamba_core.hand import JOINT_NAMES
from stages.export.settings import ExportSettings
from stages.export.tracks import HAND_FIELDS, ROW, Selection, Track
from stages.packets import EVENT_KINDS

RENAMED: Final = {"frame": "frames"}
"""Fields of a row that have another name in the file."""

_BLOCK: Final = 256  # rows that are written at once


def export_npz(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write one file with all tracks: `<track>_<side>/<field>`, and what is said once.

    For single pictures each field is one array of all hands, in the order of the pictures, and `picture` says where in
    `pictures` each of them is.
    """
    path = folder / f"{selection.recording.path.stem}.npz"
    if selection.pictures:
        write_pictures(selection, path, on_progress)
        return [path]
    with ZipFile(path, "w", ZIP_STORED, allowZip64=True) as archive:
        for name, array in _file_arrays(selection).items():
            with archive.open(f"{name}.npy", "w") as member:
                npy.write_array(member, array, allow_pickle=False)
        arrays = [(track, name) for track in selection.tracks for name in (*(ROW.names or ()), "vertices")]
        for number, (track, name) in enumerate(arrays):
            member_name = f"{name_of(track)}/{RENAMED.get(name, name)}.npy"
            with archive.open(member_name, "w", force_zip64=True) as member:
                _write_column(member, track, name)
            on_progress((number + 1) / len(arrays))
    return [path]


def name_of(track: Track) -> str:
    """Return a track's name in the file, as in "3_left"."""
    return f"{track.id}_{track.side}"


def write_pictures(selection: Selection, path: Path, on_progress: Callable[[float], None]) -> None:
    """Write the file for single pictures."""
    tracks = selection.tracks
    places = {picture.frame: place for place, picture in enumerate(selection.pictures)}
    rows = np.concatenate([track.read(0, 1) for track in tracks])
    once = _file_arrays(selection)
    del once["tracks"], once["rate"], once["size"]
    arrays = {
        **once,
        "pictures": np.array([picture.name for picture in selection.pictures]),
        "sizes": np.array([picture.size for picture in selection.pictures]),
        "cameras": np.array([picture.camera for picture in selection.pictures]),
        "T_world_camera": rows["T_world_camera"],
        "picture": np.array([places[frame] for frame in rows["frame"].tolist()]),
        "side": np.array([track.side for track in tracks]),
        **{name: rows[name] for name in HAND_FIELDS},
    }
    with ZipFile(path, "w", ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, np.require(array, requirements="C"), allow_pickle=False)
        vertices = tracks[0].vertices if len({track.vertices for track in tracks}) == 1 else 0
        with archive.open("vertices.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(tracks), vertices, 3)}
            npy.write_array_header_1_0(member, header)
            for number, track in enumerate(tracks if vertices else ()):
                member.write(track.read_vertices(0, 1).tobytes())
                on_progress((number + 1) / len(tracks))


def _file_arrays(selection: Selection) -> dict[str, NDArray[Any]]:
    run, topology = selection.recording.run, selection.recording.topology
    return {
        "tracks": np.array([name_of(track) for track in selection.tracks]),
        "joint_names": np.array(JOINT_NAMES),
        "event_names": np.array(EVENT_KINDS),
        "joint_parents": np.array(topology.joint_parents),
        "faces_right": topology.faces_right,
        "faces_left": topology.faces_left,
        "rate": np.array(selection.rate),
        "hand_model": np.array(run.hand_model),
        "estimator": np.array(run.estimator),
        "source": np.array(run.source.name),
        "size": np.array([run.source.width, run.source.height]),
        "camera_estimated": np.array(run.source.camera.estimated),
    }


def _write_column(member: "BinaryIO | Any", track: Track, name: str) -> None:
    """Write one field of all rows as an .npy file."""
    if name == "vertices":
        dtype, shape = np.dtype("<f4"), (track.vertices, 3)
    else:
        dtype, shape = ROW[name].base, ROW[name].shape
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (track.rows, *shape)}
    npy.write_array_header_1_0(member, header)
    for block in _column(track, name):
        member.write(np.ascontiguousarray(block, dtype).tobytes())


def _column(track: Track, name: str) -> Iterator[NDArray[Any]]:
    for start in range(0, track.rows, _BLOCK):
        if name == "vertices":
            yield track.read_vertices(start, start + _BLOCK)
        else:
            yield track.read(start, start + _BLOCK)[name]
