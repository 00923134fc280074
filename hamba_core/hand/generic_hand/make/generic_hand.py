"""Make `generic_hand.npz` from the WebXR generic hand.

    python -m hamba_core.hand.generic_hand.make.generic_hand path/to/right.glb

The file is `dist/profiles/generic-hand/right.glb` of the npm package `@webxr-input-profiles/assets` (1.0.20).
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from hamba_core.arrays import Array, Int64Array
from hamba_core.errors import HandModelError
from hamba_core.hand.anatomy import MODEL_JOINTS_IN_21, default_joint_limits, flexion_axes
from hamba_core.hand.generic_hand.make.glb import SkinnedMesh, read_skinned_mesh
from hamba_core.hand.generic_hand.make.refinement import refined
from hamba_core.hand.generic_hand.make.shape_directions import shape_directions
from hamba_core.hand.skeleton import FINGERS, JOINT_NAMES, MODEL_JOINT_NAMES, MODEL_PARENTS

R_model_glb = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
"""The GLB has its fingers along -y, the palm towards -x and the thumb towards -z; MANO's right hand: -x, -y and +z."""

WRIST = np.array([0.0957, 0.0064, 0.0062])
"""Where MANO's template has its wrist, so that a translation estimated for MANO fits this hand too."""

THUMB_METACARPAL = 0.042
"""Metres. The GLB puts the thumb's first joint halfway along the metacarpal; it belongs at its root."""

FLAT = {
    "thumb_1": (40.0, 16.0), "thumb_2": (43.0, 9.0), "thumb_3": (45.0, 7.0),
    "index": (3.0, 0.0), "middle": (-6.0, 0.0), "ring": (-12.0, 0.0), "little": (-18.0, 0.0),
}  # fmt: skip
"""Bones of the flat open hand: degrees from -x towards the thumb's side, then degrees towards the palm."""

REFINED_FROM = 1.15
"""Where the fingertips' finer mesh begins, in lengths of the GLB's last bone, which ends inside the tip."""

REGRESSED_FROM = 100
"""How many vertices around a joint may take part in its regression."""

ALLOWED = 1e-4
"""Metres that a regressed joint may be off."""


def make(path: Path) -> dict[str, Any]:
    """Return the model's arrays, by the names of `HandModel`'s fields. Raises HandModelError."""
    hand = read_skinned_mesh(path)
    joints_21 = np.stack([hand.joints[hand.joint_names.index(webxr_name(name))] for name in JOINT_NAMES])
    joints_21 = joints_21 @ R_model_glb.T
    cmc, mcp = joints_21[1], joints_21[2]
    joints_21[1] = mcp + (cmc - mcp) * (THUMB_METACARPAL / np.linalg.norm(cmc - mcp))
    weights = model_weights(hand)
    vertices, joints_21 = flattened(hand.vertices @ R_model_glb.T, joints_21, weights)
    shift = WRIST - joints_21[0]
    vertices, joints_21 = vertices + shift, joints_21 + shift
    vertices, faces, weights = refined(vertices, hand.faces, weights, fingertip_faces(hand.faces, vertices, joints_21))
    return model_arrays(vertices, faces, weights, joints_21)


def model_arrays(
    vertices: Array,
    faces: Int64Array,
    weights: Array,
    joints_21: Array,
    regressed_from: int = REGRESSED_FROM,
    allowed: float = ALLOWED,
) -> dict[str, Any]:
    """Return a flat open right hand (V, 3), (F, 3), (V, 16), (21, 3) in MANO's axes as the arrays of a `HandModel`.

    The tips are moved to the skin; `regressed_from` vertices around a joint give it, `allowed` metres off.
    Raises HandModelError.
    """
    joints_21 = joints_21.copy()
    tips = tip_vertices(vertices, weights, joints_21)
    joints_21[4::4] = vertices[tips]
    shapedirs = shape_directions(vertices, weights, joints_21)
    joint_weights = np.eye(16)
    for first in range(1, 16, 3):  # a finger's first joint moves as the palm does
        joint_weights[first] = joint_weights[0]
    joints = joints_21[list(MODEL_JOINTS_IN_21)]
    return {
        "v_template": vertices.astype(np.float32),
        "shapedirs": shapedirs.astype(np.float32),
        "j_regressor": regressor(
            vertices, shapedirs, joints, shape_directions(joints, joint_weights, joints_21), regressed_from, allowed
        ),
        "weights": weights.astype(np.float32),
        "faces": faces.astype(np.int16),
        "tips": tips.astype(np.int16),
        "flexion_axes": flexion_axes(joints_21),
        "joint_limits": default_joint_limits(),
    }


def webxr_name(joint: str) -> str:
    """Return WebXR's name of one of the 21 joints, which is also that of the bone that starts there."""
    if joint == "wrist":
        return joint
    finger, _, number = joint.partition("_")
    if finger == "thumb":
        return "thumb-" + ("metacarpal", "phalanx-proximal", "phalanx-distal", "tip")[int(number) - 1]
    part = ("phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip")[int(number) - 1]
    return f"{'pinky' if finger == 'little' else finger}-finger-{part}"


def model_weights(hand: SkinnedMesh) -> Array:
    """Return weights (V, 16), in which the fingers' metacarpals of the GLB count as the wrist."""
    column_of = {webxr_name(name): column for column, name in enumerate(MODEL_JOINT_NAMES)}
    weights = np.zeros((len(hand.vertices), 16))
    for name, share in zip(hand.joint_names, hand.weights.T, strict=True):
        weights[:, column_of.get(name, 0)] += share
    return np.asarray(weights / weights.sum(1, keepdims=True))


def flattened(vertices: Array, joints_21: Array, weights: Array) -> tuple[Array, Array]:
    """Return the hand opened flat: every bone is turned the shortest way into its direction in `FLAT`."""
    world = np.tile(np.eye(3), (16, 1, 1))
    for column, name in enumerate(MODEL_JOINT_NAMES[1:], 1):
        across, palmar = np.radians(FLAT.get(name) or FLAT[name.partition("_")[0]])
        target = np.array([-np.cos(across) * np.cos(palmar), -np.sin(palmar), np.sin(across) * np.cos(palmar)])
        joint = MODEL_JOINTS_IN_21[column]
        world[column] = rotation_between(joints_21[joint + 1] - joints_21[joint], target)
    rest = joints_21[list(MODEL_JOINTS_IN_21)]
    posed = rest.copy()
    for column, parent in enumerate(MODEL_PARENTS):
        if parent >= 0:
            posed[column] = posed[parent] + world[parent] @ (rest[column] - rest[parent])
    moved = np.einsum("jab,vjb->vja", world, vertices[:, None] - rest) + posed
    flat_joints = joints_21.copy()
    flat_joints[list(MODEL_JOINTS_IN_21)] = posed
    for last in range(3, 16, 3):
        joint = MODEL_JOINTS_IN_21[last]
        flat_joints[joint + 1] = posed[last] + world[last] @ (joints_21[joint + 1] - joints_21[joint])
    return np.einsum("vj,vja->va", weights, moved), flat_joints


def rotation_between(start: Array, end: Array) -> Array:
    """Return the shortest rotation (3, 3) that takes a direction to another, not opposite, one (Rodrigues' formula)."""
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    x, y, z = np.cross(start, end)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + K + K @ K / (1 + start @ end))


def fingertip_faces(faces: Int64Array, vertices: Array, joints_21: Array) -> NDArray[np.bool_]:
    """Return which faces (F,) lie on the farther part of a last bone."""
    marked = np.zeros(len(faces), bool)
    centres = vertices[faces].mean(1)
    for last in range(3, 21, 4):
        offset = centres - (joints_21[last] + REFINED_FROM * (joints_21[last + 1] - joints_21[last]))
        bone = joints_21[last + 1] - joints_21[last]
        marked |= (offset @ bone > 0) & (np.linalg.norm(offset, axis=1) < 0.03)
    return marked


def tip_vertices(vertices: Array, weights: Array, joints_21: Array) -> Int64Array:
    """Return the vertex (5,) of each finger that lies farthest along its last bone, on the side of the pad."""
    flexion = dict(zip(MODEL_JOINT_NAMES[1:], flexion_axes(joints_21), strict=True))
    tips = []
    for finger in FINGERS:
        name, last = f"{finger}_3", JOINT_NAMES.index(f"{finger}_3")
        bone = joints_21[last + 1] - joints_21[last]
        bone = bone / np.linalg.norm(bone)
        offset = vertices - joints_21[last]
        pad, sideways = np.cross(flexion[name], bone), np.abs(offset @ flexion[name])
        score = offset @ (bone + 0.25 * pad) - 0.5 * sideways
        tips.append(int(np.where(weights[:, MODEL_JOINT_NAMES.index(name)] > 0.5, score, -np.inf).argmax()))
    return np.array(tips)


def regressor(
    vertices: Array, shapedirs: Array, joints: Array, joint_shapedirs: Array, regressed_from: int, allowed: float
) -> Array:
    """Return weights (16, V), not negative, that give the joints from near vertices, for every shape.

    For each joint they are the most even ones among those that meet the template's joint and its ten displacements.
    Raises HandModelError where they miss one by more than `allowed` metres.
    """
    result = np.zeros((16, len(vertices)))
    for j, joint in enumerate(joints):
        distance = np.linalg.norm(vertices - joint, axis=1)
        near = np.argsort(distance)[:regressed_from]
        # Rows of metres count as micrometres against the wish for even weights, so that they are met.
        exact = np.vstack([(vertices[near] - joint).T, (shapedirs[near] - joint_shapedirs[j]).reshape(len(near), -1).T])
        rows = np.vstack([1e6 * exact, np.full(len(near), 1e4), np.diag(distance[near] / distance[near].mean())])
        wanted = np.zeros(len(rows))
        wanted[len(exact)] = 1e4
        weights, _ = nnls(rows, wanted, maxiter=100 * len(near))
        weights /= weights.sum()
        missed = np.abs(exact @ weights).max()
        if missed > allowed:
            raise HandModelError(
                f"joint {MODEL_JOINT_NAMES[j]}: expected vertices around it that give it within {1e3 * allowed:.1f} mm "
                f"for every shape, missed it by {1e3 * missed:.2f} mm; change the shape directions so that skin and "
                "joint agree"
            )
        result[j, near] = weights
    return result.astype(np.float32)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    np.savez_compressed(Path(__file__).parents[1] / "generic_hand.npz", **make(Path(sys.argv[1])))
