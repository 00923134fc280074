"""A hand as bones, for the formats of animation tools: how each bone is turned and where it lies, frame by frame.

There are 21 bones, one for each joint, in joint order, tips included. At rest every bone's axes are the model's own,
so a finger bone's rotation is its `hand_pose`, and a left hand's is M R M (`docs/conventions.md`). Where a bone lies is
taken from the recorded joints themselves: no hand model is needed. A recorded hand's shape may change from frame to
frame, as more is seen of it; animators want one, so each bone has its mean length all along, and the hand stands nearer
or farther by as much as it has become smaller or larger, which leaves it where it is in the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.errors import SourceError
from hamba_core.hand import JOINT_PARENTS, JOINTS_FROM_MODEL, Side, mirrored_rotations
from stages.export.tracks import UNEVEN, Rows, Selection, Track

R_FILE_CAMERA: Final = np.diag([1.0, -1.0, -1.0])
"""Takes the camera frame to that of the files: x right, y up, z towards the viewer."""

TURNING: Final = tuple(bone for bone in range(21) if JOINTS_FROM_MODEL[bone] < 16)
"""The bones that turn; tips do not."""

_STEADY: Final = 1e-5
"""Metres by which a bone's offset may vary and still be written once: four bones in a row stay within 0.04 mm."""


class BonePoses(NamedTuple):
    """Bones relative to their parents, the wrist to the file's frame."""

    rotations: Array  # (N, 21, 3, 3)
    offsets: Array  # (N, 21, 3) m, in the parent's axes


@dataclass(frozen=True, eq=False)
class Rig:
    """What is known of a track once it was read through. `rigs_of` makes it."""

    pts: Array  # (rows,) s
    runs: tuple[tuple[int, int], ...]  # rows start..stop in which the hand is there, in order
    betas: Array  # (10,) mean
    offsets: Array  # (21, 3) m, mean, or the middle of what occurs where they vary
    moves: NDArray[np.bool_]  # (21,) whether a bone's offset varies; the wrist's always does
    box: Array  # (2, 3) m, file's frame: the least and the most of all joints' places
    one_shape: bool  # bones have the same lengths in every frame, whatever was recorded


def bone_poses(rows: Rows, side: Side) -> BonePoses:
    """Return the bones' poses in these rows (N,), in which the hand is there."""
    tips = np.broadcast_to(np.eye(3), (len(rows), 5, 3, 3))
    own = np.concatenate([rows["global_orient"][:, None], rows["hand_pose"], tips], 1).astype(np.float64)
    rotations = mirrored_rotations(own[:, JOINTS_FROM_MODEL], side)
    rotations[:, 0] = R_FILE_CAMERA @ rotations[:, 0]
    joints = rows["joints"].astype(np.float64) @ R_FILE_CAMERA
    world, offsets = rotations.copy(), joints.copy()
    for bone, parent in enumerate(JOINT_PARENTS[1:], 1):
        world[:, bone] = world[:, parent] @ rotations[:, bone]
        # The inverse of the parent's rotation, for row vectors.
        offsets[:, bone] = np.einsum("ni,nij->nj", joints[:, bone] - joints[:, parent], world[:, parent])
    return BonePoses(rotations, offsets)


def rigs_of(selection: Selection, *, one_shape: bool = False) -> list[tuple[Track, Rig]]:
    """Return the tracks in which a hand is ever there. Raises SourceError where there are none."""
    rigs = [(track, rig) for track in selection.tracks if (rig := _rig_of(track, selection, one_shape)).runs]
    if not rigs:
        raise SourceError(
            f"{selection.recording.path}: expected a hand that is there for some frames on end, found none; "
            "leave --rate out"
        )
    return rigs


def _rig_of(track: Track, selection: Selection, one_shape: bool) -> Rig:
    """Read a track once for what its file begins with."""
    pts, runs = [], list[tuple[int, int]]()
    betas, total, count, at = np.zeros(10), np.zeros((21, 3)), 0, 0
    offset_ends = np.full((21, 3), inf), np.full((21, 3), -inf)
    place_ends = np.full(3, inf), np.full(3, -inf)
    for rows, _ in track.blocks(vertices=False):
        pts.append(rows["pts"].astype(np.float64))
        there = rows["valid"]
        edges = np.flatnonzero(np.diff(there, prepend=False, append=False)) + at
        for start, stop in edges.reshape(-1, 2).tolist():
            if runs and runs[-1][1] == start:  # goes on from the block before
                start = runs.pop()[0]
            runs.append((start, stop))
        offsets = bone_poses(rows[there], track.side).offsets
        places = rows["joints"][there].astype(np.float64) @ R_FILE_CAMERA
        for least, most, values in ((*offset_ends, offsets), (*place_ends, places.reshape(-1, 3))):
            np.minimum(least, values.min(0, initial=inf), out=least)
            np.maximum(most, values.max(0, initial=-inf), out=most)
        total += offsets.sum(0)
        betas += rows["betas"][there].sum(0, dtype=np.float64)
        count, at = count + int(there.sum()), at + len(rows)
    least, most = offset_ends
    moves = (most - least).max(1) > _STEADY
    one_shape &= bool(moves[1:].any())  # else there is one as it is
    moves = np.zeros(21, np.bool_) if one_shape else moves
    moves[0] = True
    middle = total / max(count, 1) if one_shape else (least + most) / 2
    times = _on_frames(np.concatenate(pts), selection)
    return Rig(times, tuple(runs), betas / max(count, 1), middle, moves, np.stack(place_ends), one_shape)


def _on_frames(pts: Array, selection: Selection) -> Array:
    """Return the rows' times, at whole frames from the take's start where its pace is even; files round them."""
    frames = np.round((pts - selection.start) * selection.rate)
    even = np.abs((pts - selection.start) * selection.rate - frames).max(initial=0) < UNEVEN
    return selection.start + frames / selection.rate if even and (np.diff(frames) > 0).all() else pts


def poses_of(track: Track, rig: Rig) -> Iterator[BonePoses]:
    """Yield the bones of all rows, block by block, in order; while the hand is away they stay as they were."""
    first = rig.runs[0][0]
    before = track.read(first, first + 1)
    for block, _ in track.blocks(vertices=False):
        rows = np.concatenate([before, block])
        held = rows[np.maximum.accumulate(np.where(rows["valid"], np.arange(len(rows)), 0))]
        before = held[-1:]
        poses = bone_poses(held[1:], track.side)
        yield _of_one_shape(poses, rig) if rig.one_shape else poses


def _of_one_shape(poses: BonePoses, rig: Rig) -> BonePoses:
    """Return the poses with the rig's bones, as much farther away as they are longer: the same in the picture."""
    knuckles = [bone for bone, parent in enumerate(JOINT_PARENTS) if parent == 0]
    palm = np.linalg.norm(poses.offsets[:, knuckles], axis=2).sum(1)
    offsets = np.broadcast_to(rig.offsets, poses.offsets.shape).copy()
    offsets[:, 0] = poses.offsets[:, 0] * (np.linalg.norm(rig.offsets[knuckles], axis=1).sum() / palm)[:, None]
    return BonePoses(poses.rotations, offsets)


def spans_of(rig: Rig, selection: Selection) -> list[tuple[float, float]]:
    """Return from when to when the hand is there, s from the take's start; without end where it stays to the last."""
    spans = []
    for start, stop in rig.runs:
        # A track's last frame lasts as long as any other.
        goes = rig.pts[stop] if stop < len(rig.pts) else rig.pts[-1] + 1 / selection.rate
        spans.append(
            (float(rig.pts[start] - selection.start), float(goes - selection.start) if goes <= selection.end else inf)
        )
    return spans
