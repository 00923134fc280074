"""Tracks at a fixed rate: rotations along the shortest way between two rows, everything else along a straight line."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array, Float32Array
from hamba_core.errors import SourceError
from hamba_core.hand import slerp
from stages.export.tracks.rows import HAND_FIELDS, ROW, Rows
from stages.export.tracks.selection import Selection
from stages.export.tracks.track_files import Track, TrackWriter

_LONGEST_STEP: Final = 0.25
"""s; what lies farther apart is not joined, though no frame between them was recorded without the hand."""

UNEVEN: Final = 0.2
"""Of a frame, by which a time may be off an even pace."""
_SAME: Final = 1e-6  # s, within which a row stands for its own moment
_BLOCK: Final = 256  # rows
_ROTATIONS: Final = ("global_orient", "hand_pose")
_NEAREST: Final = ("events",)  # an event is there or not


def resampled(selection: Selection, rate: float, folder: Path) -> Selection:
    """Return the take with `rate` rows a second, at the same moments in all tracks, in files in this folder.

    The moments are the take's start and every 1 / rate seconds from there; a row's `frame` counts them. A row between
    two of which one is without the hand is without it too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tracks = tuple(_resample(track, selection.start, rate, folder) for track in selection.tracks)
    kept = tuple(track for track in tracks if _is_ever_there(track))
    if not kept:
        raise SourceError(
            f"{selection.recording.path}: expected a hand that is there for some frames on end, found none; "
            "leave --rate out"
        )
    frames = int((selection.end - selection.start) * rate + _SAME) + 1
    return replace(selection, tracks=kept, frames=frames, rate=rate, end=selection.start + (frames - 1) / rate)


def has_even_pace(selection: Selection) -> bool:
    """Return whether all rows are near whole frames of the take's rate; some may be missing."""
    for track in selection.tracks:
        for rows, _ in track.blocks(vertices=False):
            frames = (rows["pts"] - selection.start) * selection.rate
            if np.abs(frames - np.round(frames)).max() >= UNEVEN:
                return False
    return True


def _is_ever_there(track: Track) -> bool:
    return any(rows["valid"].any() for rows, _ in track.blocks(vertices=False))


def _resample(track: Track, start: float, rate: float, folder: Path) -> Track:
    pts = np.concatenate([rows["pts"] for rows, _ in track.blocks(vertices=False)])
    first = int(np.ceil((track.first_pts - start) * rate - _SAME))
    last = int(np.floor((track.last_pts - start) * rate + _SAME))
    writer = TrackWriter(folder, track.id, track.side, track.vertices)
    for block in range(first, last + 1, _BLOCK):
        ticks = np.arange(block, min(last + 1, block + _BLOCK))
        times = start + ticks / rate
        before = np.clip(np.searchsorted(pts, times + _SAME, "right") - 1, 0, None)
        after = np.where(np.abs(times - pts[before]) <= _SAME, before, np.minimum(before + 1, len(pts) - 1))
        base, stop = int(before[0]), int(after[-1]) + 1
        rows, vertices = track.read(base, stop), track.read_vertices(base, stop)
        between, meshes = _between(rows, vertices, before - base, after - base, times)
        between["frame"] = ticks
        writer.append(between, meshes)
    return writer.finish()


def _between(
    rows: Rows, vertices: Float32Array, before: NDArray[np.intp], after: NDArray[np.intp], times: NDArray[np.float64]
) -> tuple[Rows, Float32Array]:
    """Return rows and vertices at these times (N,), each between two of the given ones."""
    a, b = rows[before], rows[after]
    span = b["pts"] - a["pts"]
    fraction = np.divide(times - a["pts"], span, out=np.zeros_like(times), where=span > 0).clip(0, 1)
    nearer = np.where(fraction < 0.5, before, after)
    result = np.zeros(len(times), ROW)
    result["camera"], result["pts"] = rows["camera"][nearer], times
    result["T_world_camera"] = _pose_between(a["T_world_camera"], b["T_world_camera"], fraction)
    there = a["valid"] & b["valid"] & (span <= _LONGEST_STEP)
    result["valid"] = there
    for name in HAND_FIELDS:
        result[name] = np.nan
        if name in _ROTATIONS:
            shares = fraction[there].reshape(-1, *[1] * (a[name].ndim - 3))
            result[name][there] = slerp(a[name][there], b[name][there], shares)
        elif name in _NEAREST:
            result[name][there] = rows[name][nearer][there]
        else:
            result[name][there] = _mixed(a[name], b[name], fraction)[there]
    meshes = _mixed(vertices[before], vertices[after], fraction)
    meshes[~there] = np.nan
    return result, meshes


def _pose_between(a: Array, b: Array, fraction: NDArray[np.float64]) -> Array:
    """Return poses (N, 4, 4) between two, the nearer one where only one is known."""
    nearer = np.where((fraction < 0.5)[:, None, None], a, b)
    known = np.isfinite(a).all((1, 2)) & np.isfinite(b).all((1, 2))
    nearer[known, :3, :3] = slerp(a[known, :3, :3], b[known, :3, :3], fraction[known])
    share = fraction[known, None]
    nearer[known, :3, 3] = (1 - share) * a[known, :3, 3] + share * b[known, :3, 3]
    return np.asarray(nearer)


def _mixed(a: Float32Array, b: Float32Array, fraction: NDArray[np.float64]) -> Float32Array:
    shares = fraction.reshape(-1, *[1] * (a.ndim - 1)).astype(np.float32)
    mixed: Float32Array = a + (b - a) * shares
    return mixed
