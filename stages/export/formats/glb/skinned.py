"""A hand in a GLB file as skin and bones: linear blend skinning, animated by the bones' rotations and offsets.

There is a key for each row of the track, on the wrist's place, every bone's rotation, and the offsets that change.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES, JOINT_PARENTS, HandModel, to_quaternion, vertex_normals
from stages.export.formats.glb.gltf_file import INDICES, VERTEX_DATA, Animation, GltfFile
from stages.export.rig import (
    TURNING,
    BonePoses,
    RestHand,
    Rig,
    bone_poses,
    poses_of,
    rest_hand,
    spans_of,
)
from stages.export.tracks import Selection, Track

_MARGIN: Final = np.array([[-0.05], [0.05]])
"""Metres that a mesh may reach beyond its joints."""


def add_skinned_hand(
    file: GltfFile,
    animation: Animation,
    track: Track,
    rig: Rig,
    selection: Selection,
    model: HandModel,
    name: str,
    material: int,
    on_rows: Callable[[int], None],
) -> list[int]:
    """The nodes of the scene that show this track. `on_rows` is told how many rows were written."""
    hand = rest_hand(model, rig.betas, track.side)
    first = bone_poses(track.read(rig.runs[0][0], rig.runs[0][0] + 1), track.side)
    bones = _add_bones(file, rig, first)
    origin = file.add("nodes", name="origin")
    root = file.add("nodes", name=name, children=[origin, bones[0]])
    _animate(file, animation, track, selection, rig, bones, on_rows)
    animation.show(bones[0], spans_of(rig, selection))
    binds = np.tile(np.eye(4, dtype=np.float32), (22, 1, 1))
    binds[:21, 3, :3] = -hand.joints  # a matrix is stored column by column, the translation last
    skin = file.add("skins", name=name, joints=[*bones, origin], inverseBindMatrices=file.array(binds))
    mesh = _add_mesh(file, hand, rig.box + _MARGIN, name, material)
    # A skinned mesh is where its bones are, whatever its own node says: that one has to stand at the top.
    return [root, file.add("nodes", name=f"{name} skin", mesh=mesh, skin=skin)]


def _add_bones(file: GltfFile, rig: Rig, first: BonePoses) -> list[int]:
    """The nodes of the 21 bones, joint order, posed as when the hand first comes."""
    rotations = to_quaternion(first.rotations[0])
    offsets = np.where(rig.moves[:, None], first.offsets[0], rig.offsets)
    nodes = [-1] * 21
    for bone in reversed(range(21)):  # children before their parents
        children = [nodes[child] for child in range(21) if JOINT_PARENTS[child] == bone]
        nodes[bone] = file.add(
            "nodes", name=JOINT_NAMES[bone], rotation=rotations[bone].tolist(), translation=offsets[bone].tolist(),
            children=children or None,
        )  # fmt: skip
    return nodes


def _animate(
    file: GltfFile,
    animation: Animation,
    track: Track,
    selection: Selection,
    rig: Rig,
    bones: list[int],
    on_rows: Callable[[int], None],
) -> None:
    times = file.array((rig.pts - selection.start).astype(np.float32), bounds=True)
    rotations = {bone: file.column(track.rows, 4) for bone in TURNING}
    offsets = {bone: file.column(track.rows, 3) for bone in np.flatnonzero(rig.moves).tolist()}
    before: Array | None = None
    for poses in poses_of(track, rig):
        turns = _continuous(to_quaternion(poses.rotations), before)
        before = turns[-1]
        for bone, column in rotations.items():
            column.append(turns[:, bone])
        for bone, column in offsets.items():
            column.append(poses.offsets[:, bone])
        on_rows(len(turns))
    for path, columns in (("rotation", rotations), ("translation", offsets)):
        for bone, column in columns.items():
            animation.move(bones[bone], path, times, column.accessor)


def _add_mesh(file: GltfFile, hand: RestHand, box: Array, name: str, material: int) -> int:
    """The mesh at rest, with the weights of all its bones, four to a set, the largest first.

    Two vertices more, which are in no face, hang on a bone at the origin that never moves, at the corners of all that
    the hand ever reaches: three.js judges whether a mesh is in view by where its vertices were when it first came.
    """
    vertices = np.concatenate([hand.vertices, box]).astype(np.float32)
    weights = np.zeros((len(vertices), 22))
    weights[:-2, :21], weights[-2:, 21] = hand.weights, 1
    normals = np.concatenate([vertex_normals(hand.vertices[None], hand.faces)[0], np.eye(3)[:2]])
    attributes = {
        "POSITION": file.array(vertices, VERTEX_DATA, bounds=True),
        "NORMAL": file.array(normals.astype(np.float32), VERTEX_DATA),
    }
    most = int((weights > 0).sum(1).max())
    order = np.argsort(-weights, 1, kind="stable")[:, : -(-most // 4) * 4]
    shares = np.take_along_axis(weights, order, 1).astype(np.float32)
    bones = np.where(shares > 0, order, 0).astype(np.uint8)
    for i in range(order.shape[1] // 4):
        part = slice(4 * i, 4 * i + 4)
        attributes[f"JOINTS_{i}"] = file.array(bones[:, part], VERTEX_DATA)
        attributes[f"WEIGHTS_{i}"] = file.array(shares[:, part], VERTEX_DATA)
    indices = file.array(hand.faces.astype(np.uint32).ravel(), INDICES)
    primitive = {"attributes": attributes, "indices": indices, "material": material}
    return file.add("meshes", name=name, primitives=[primitive])


def _continuous(quaternions: Array, before: Array | None) -> Array:
    """The same rotations (N, 21, 4), each quaternion on the side of the one before: a curve without jumps."""
    if before is None:
        before = quaternions[0]
    steps = np.concatenate([before[None], quaternions])
    flips = np.where((steps[1:] * steps[:-1]).sum(-1) < 0, -1.0, 1.0)
    result: Array = quaternions * np.cumprod(flips, 0)[..., None]
    return result
