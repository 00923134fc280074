"""Hands as BVH, the text format of motion capture that Blender, Maya and MotionBuilder read: a file a track.

Centimetres, degrees, y up; the camera stands at the origin and looks along -z. A BVH file has a fixed pace and cannot
hide anything. So every file spans the whole take, and those of one take run in step: before a hand comes it waits in
its first pose, and while it is away it stays as it was.
"""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES, JOINT_PARENTS, continuous_euler_zxy
from stages.export.rig import TURNING, Rig, name_of, poses_of, rigs_of
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection, Track

logger = logging.getLogger(__name__)

_CENTIMETRES: Final = 100.0
_BEYOND: Final = 0.25  # of a fingertip's bone; tools show no bone that has no length
_PLACE: Final = ("Xposition", "Yposition", "Zposition")
_TURN: Final = ("Zrotation", "Xrotation", "Yrotation")


def export_bvh(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write a file for each track. Raises SourceError where there is nothing to write."""
    paths = []
    rigs = rigs_of(selection, one_shape=settings.one_shape)
    for number, (track, rig) in enumerate(rigs):
        path = folder / f"{re.sub('[ /]', '_', name_of(track))}.bvh"
        with path.open("w") as file:
            for written in _write(file, track, rig, _rows_at_ticks(track, rig, selection), selection.rate):
                on_progress((number + written) / len(rigs))
        paths.append(path)
    return paths


def _rows_at_ticks(track: Track, rig: Rig, selection: Selection) -> NDArray[np.intp]:
    """Return the row nearest to each frame of the file, (frames,)."""
    ticks = selection.start + np.arange(round((selection.end - selection.start) * selection.rate) + 1) / selection.rate
    middles = (rig.pts[:-1] + rig.pts[1:]) / 2
    rows = np.searchsorted(middles, ticks)
    own = rows[(ticks > rig.pts[0] - 0.5 / selection.rate) & (ticks < rig.pts[-1] + 0.5 / selection.rate)]
    repeated, left_out = len(own) - len(np.unique(own)), track.rows - len(np.unique(own))
    if repeated or left_out:
        logger.warning(
            "%s: a BVH file has a fixed pace and the recording has not: %d of %d frames are repeated, %d left out; "
            "--rate %g would resample them",
            name_of(track), repeated, track.rows, left_out, selection.rate,
        )  # fmt: skip
    return rows


def _write(file: TextIO, track: Track, rig: Rig, rows: NDArray[np.intp], rate: float) -> Iterator[float]:
    """Write a track, and yield now and then which share of it is written."""
    free = bool(rig.moves[1:].any())
    file.write("HIERARCHY\n" + "\n".join(_hierarchy(rig, free)))
    file.write(f"\nMOTION\nFrames: {len(rows)}\nFrame Time: {1 / rate:.9f}\n")
    start, before = 0, None
    for poses in poses_of(track, rig):
        # Of the angles that say the same, those nearest to the last ones: between keys, tools turn along the angles.
        angles = continuous_euler_zxy(poses.rotations, before)
        before = angles[-1]
        first, stop = np.searchsorted(rows, [start, start + len(angles)])
        values = _channel_values(poses.offsets * _CENTIMETRES, np.degrees(angles), free)[rows[first:stop] - start]
        form = " ".join(["%.6f"] * values.shape[1]) + "\n"
        file.writelines(form % tuple(line) for line in values.tolist())
        start += len(angles)
        yield start / track.rows


def _channels(bone: int, free: bool) -> tuple[str, ...]:
    """Return what is given of a bone in each frame. A channel of place takes the offset's place, as tools have it."""
    return (_PLACE if free or bone == 0 else ()) + (_TURN if bone in TURNING else ())


def _channel_values(places: Array, angles: Array, free: bool) -> Array:
    """Return offsets (N, 21, 3) and angles (N, 21, 3) as the values (N, channels) of all bones' channels."""
    both = np.concatenate([places, angles], -1)
    chosen = np.array([[free or bone == 0] * 3 + [bone in TURNING] * 3 for bone in range(21)])
    values: Array = both[:, chosen]
    return values


def _hierarchy(rig: Rig, free: bool, bone: int = 0) -> Iterator[str]:
    """Return the lines that describe a bone and all that hang on it; `free` where bones change in length.

    A tip is an end site, which cannot move: where it has to, it is a joint, with an end site a little farther on.
    """
    kind = "ROOT" if bone == 0 else "JOINT" if bone in TURNING or free else "End Site"
    x, y, z = rig.offsets[bone] * _CENTIMETRES if bone else np.zeros(3)
    yield kind if kind == "End Site" else f"{kind} {JOINT_NAMES[bone]}"
    yield "{"
    yield f"\tOFFSET {x:.6f} {y:.6f} {z:.6f}"
    if kind != "End Site":
        channels = _channels(bone, free)
        yield f"\tCHANNELS {len(channels)} {' '.join(channels)}"
        for child in range(21):
            if JOINT_PARENTS[child] == bone:
                yield from (f"\t{line}" for line in _hierarchy(rig, free, child))
        if bone not in TURNING:
            end = " ".join(f"{part:.6f}" for part in _BEYOND * rig.offsets[bone] * _CENTIMETRES)
            yield from ("\tEnd Site", "\t{", f"\t\tOFFSET {end}", "\t}")
    yield "}"
