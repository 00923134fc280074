"""A hand in a GLB file as skin and bones: linear blend skinning, animated by the bones' rotations and offsets.

Each bone's y goes along it to the next joint, as Blender and others show bones, its x is the axis about which fingers
close. A forearm, as long as a wrist is broad, carries the hand: it holds the hand's place and turn, and the wrist its
size, which is nothing while it is away. There is a key for each row of the track, on the forearm's place and turn,
every other bone's rotation, and the offsets that change.
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
    poses_of,
    rest_hand,
    spans_of,
)
from stages.export.tracks import Selection, Track

_MARGIN: Final = 0.05
"""Metres that a mesh may reach beyond its joints."""

_FOREARM: Final = 0.06
"""Metres; it ends at the wrist."""


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
    """Add the nodes that show this track, and return them. `on_rows` is told how many rows were written."""
    hand = rest_hand(model, rig.betas, track.side)
    axes = bone_axes(hand.joints)
    first = _along_bones(next(poses_of(track, rig)), axes)
    forearm, bones = _add_bones(file, rig, first)
    root = file.add("nodes", name=name, children=[forearm])
    _animate(file, animation, track, selection, rig, axes, [forearm, *bones[1:]], on_rows)
    animation.show(bones[0], spans_of(rig, selection))
    joints = np.concatenate([hand.joints, hand.joints[:1] - _FOREARM * axes[:1, :, 1]])
    turned = np.concatenate([axes, axes[:1]])
    binds = np.tile(np.eye(4, dtype=np.float32), (22, 1, 1))
    # The inverse of where a bone is at rest; a matrix is stored column by column, the translation last.
    binds[:, :3, :3] = turned
    binds[:, 3, :3] = -np.einsum("nij,ni->nj", turned, joints)
    skin = file.add("skins", name=name, joints=[*bones, forearm], inverseBindMatrices=file.array(binds))
    reach = float(np.linalg.norm(rig.box[1] - rig.box[0])) + _MARGIN
    mesh = _add_mesh(file, hand, joints[21] + reach * np.array([[-1.0, 0, 0], [1, 0, 0]]), name, material)
    # A skinned mesh is where its bones are, whatever its own node says: that one has to stand at the top.
    return [root, file.add("nodes", name=f"{name} skin", mesh=mesh, skin=skin)]


def bone_axes(joints: Array) -> Array:
    """Return axes (21, 3, 3), columns x, y, z, of bones at rest (21, 3): y to the next joint, x across it.

    The wrist's y goes to the middle finger's knuckle, and a tip's goes on as the bone before it.
    """
    at = dict(zip(JOINT_NAMES, joints, strict=True))
    across, palm = at["index_1"] - at["little_1"], at["middle_1"] - at["wrist"]
    axes = np.empty((21, 3, 3))
    for bone, name in enumerate(JOINT_NAMES):
        begin = bone - 1 if name.endswith("_4") else bone
        end = JOINT_NAMES.index("middle_1") if bone == 0 else begin + 1
        y = joints[end] - joints[begin]
        x = np.cross(palm, across) if name.startswith("thumb") else across
        y = y / np.linalg.norm(y)
        x = x - (x @ y) * y
        x = x / np.linalg.norm(x)
        axes[bone] = np.stack([x, y, np.cross(x, y)], 1)
    return axes


def _along_bones(poses: BonePoses, axes: Array) -> BonePoses:
    """Return the same poses between these axes; the first is the forearm's, in the place of the wrist."""
    parents = list(JOINT_PARENTS[1:])
    rotations, offsets = poses.rotations @ axes, poses.offsets.copy()
    rotations[:, 1:] = axes[parents].transpose(0, 2, 1) @ rotations[:, 1:]
    offsets[:, 1:] = np.einsum("bij,nbi->nbj", axes[parents], offsets[:, 1:])
    offsets[:, 0] -= _FOREARM * rotations[:, 0, :, 1]
    return BonePoses(rotations, offsets)


def _add_bones(file: GltfFile, rig: Rig, first: BonePoses) -> tuple[int, list[int]]:
    """Add the nodes of the forearm and of the 21 bones, joint order, posed as when the hand first comes."""
    rotations = to_quaternion(first.rotations[0])
    offsets = first.offsets[0]
    nodes = [-1] * 21
    for bone in reversed(range(21)):  # children before their parents
        children = [nodes[child] for child in range(21) if JOINT_PARENTS[child] == bone]
        place = offsets[bone].tolist() if bone else [0.0, _FOREARM, 0.0]
        turn = rotations[bone].tolist() if bone else None
        nodes[bone] = file.add(
            "nodes", name=JOINT_NAMES[bone], rotation=turn, translation=place, children=children or None
        )
    forearm = file.add(
        "nodes", name="forearm", rotation=rotations[0].tolist(), translation=offsets[0].tolist(), children=[nodes[0]]
    )
    return forearm, nodes


def _animate(
    file: GltfFile,
    animation: Animation,
    track: Track,
    selection: Selection,
    rig: Rig,
    axes: Array,
    bones: list[int],
    on_rows: Callable[[int], None],
) -> None:
    times = file.array((rig.pts - selection.start).astype(np.float32), bounds=True)
    rotations = {bone: file.column(track.rows, 4) for bone in TURNING}
    offsets = {bone: file.column(track.rows, 3) for bone in np.flatnonzero(rig.moves).tolist()}
    before: Array | None = None
    for poses in (_along_bones(poses, axes) for poses in poses_of(track, rig)):
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
    """Add the mesh at rest, with the weights of all its bones, four to a set, the largest first.

    Two more vertices, which are in no face, hang on the forearm, as far from it as the hand ever goes from anywhere:
    three.js judges whether a mesh is in view by where its vertices were when it first came.
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
    """Return the same rotations (N, 21, 4), each quaternion on the side of the one before: a curve without jumps."""
    if before is None:
        before = quaternions[0]
    steps = np.concatenate([before[None], quaternions])
    flips = np.where((steps[1:] * steps[:-1]).sum(-1) < 0, -1.0, 1.0)
    result: Array = quaternions * np.cumprod(flips, 0)[..., None]
    return result
