"""Makes `generic_hand.npz` from the WebXR generic hand.

    python -m hamba_core.generic_hand.make_generic_hand path/to/right.glb

The file is `dist/profiles/generic-hand/right.glb` of the npm package `@webxr-input-profiles/assets`.
"""

import sys
from pathlib import Path

import numpy as np

from hamba_core.anatomy import MODEL_JOINTS_IN_21, default_joint_limits, flexion_axes
from hamba_core.generic_hand.glb import SkinnedMesh, read_skinned_mesh
from hamba_core.hand_model import Array, HandModel
from hamba_core.skeleton import FINGERS, JOINT_NAMES, MODEL_JOINT_NAMES, MODEL_PARENTS

R_model_glb = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
"""The GLB's hand has its fingers along -y, the thumb towards -z and its palm towards -x; MANO's: -x, +z and -y."""

WRIST = np.array([0.0957, 0.0064, 0.0062])
"""Where MANO's template has its wrist, so that translations estimated for MANO fit this hand too."""

SPREAD = {"index": 3.0, "middle": -6.0, "ring": -12.0, "little": -17.0}
"""Directions of the flat fingers, degrees from -x towards the thumb."""


def webxr_name(joint: str) -> str:
    """Name in the GLB of one of the 21 joints or of the bone that starts there."""
    if joint == "wrist":
        return "wrist"
    finger, number = joint.split("_")
    if finger == "thumb":
        return "thumb-" + ("metacarpal", "phalanx-proximal", "phalanx-distal", "tip")[int(number) - 1]
    prefix = "pinky" if finger == "little" else finger
    return f"{prefix}-finger-" + ("phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip")[int(number) - 1]


def rotation_between(a: Array, b: Array) -> Array:
    """The shortest rotation (3, 3) that takes direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    v, c = np.cross(a, b), a @ b
    K = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + K + K @ K / (1 + c)


def model_weights(hand: SkinnedMesh) -> Array:
    """Weights (V, 16): the finger metacarpals belong to the wrist, the tips to the last bone."""
    weights = np.zeros((len(hand.vertices), 16))
    of_bone = {webxr_name(name): i for i, name in enumerate(MODEL_JOINT_NAMES)}
    for column, name in enumerate(hand.joint_names):
        if name.endswith("finger-metacarpal"):
            target = 0
        else:
            target = of_bone[
                name.replace("thumb-tip", "thumb-phalanx-distal").replace("finger-tip", "finger-phalanx-distal")
            ]
        weights[:, target] += hand.weights[:, column]
    return weights / weights.sum(1, keepdims=True)


def pose(vertices: Array, joints: Array, weights: Array, world: Array) -> tuple[Array, Array]:
    """Linear blend skinning with world rotations (16, 3, 3) of the 16 bones."""
    posed = joints.copy()
    for j, p in enumerate(MODEL_PARENTS):
        if p >= 0:
            posed[j] = posed[p] + world[p] @ (joints[j] - joints[p])
    moved = np.einsum("jab,vjb->vja", world, vertices[:, None] - joints) + posed
    return np.einsum("vj,vja->va", weights, moved), posed


def regressor(vertices: Array, joints: Array, fields: Array, joint_fields: Array) -> Array:
    """Non-negative weights (16, V) of near vertices that give the joints, and their shape displacements."""
    from scipy.optimize import nnls

    result = np.zeros((16, len(vertices)))
    for j, joint in enumerate(joints):
        near = np.argsort(np.linalg.norm(vertices - joint, axis=1))[:90]
        distance = np.linalg.norm(vertices[near] - joint, axis=1)
        rows = [1e3 * np.ones(len(near)), *(1e5 * (vertices[near] - joint).T)]
        right = [1e3, 0, 0, 0]
        for k in range(10):
            rows += list(1e4 * fields[near, :, k].T)
            right += list(1e4 * joint_fields[j, :, k])
        rows += list(np.diag(distance / distance.mean()))
        right += [0.0] * len(near)
        solution, _ = nnls(np.array(rows), np.array(right), maxiter=10000)
        result[j, near] = solution / solution.sum()
    return result


def make(path: Path) -> dict[str, np.ndarray]:
    """All arrays of the model."""
    hand = read_skinned_mesh(path)
    joints_21 = np.stack([hand.joints[hand.joint_names.index(webxr_name(n))] for n in JOINT_NAMES]) @ R_model_glb.T
    vertices = hand.vertices @ R_model_glb.T
    weights = model_weights(hand)
    joints = joints_21[list(MODEL_JOINTS_IN_21)]
    world = np.tile(np.eye(3), (16, 1, 1))
    for finger, angle in SPREAD.items():
        a = np.radians(angle)
        straight = np.array([-np.cos(a), 0, np.sin(a)])
        first = JOINT_NAMES.index(f"{finger}_1")
        for i in range(3):
            bone = joints_21[first + i + 1] - joints_21[first + i]
            world[MODEL_JOINT_NAMES.index(f"{finger}_{i + 1}")] = rotation_between(bone, straight)
    vertices, joints = pose(vertices, joints, weights, world)
    shift = WRIST - joints[0]
    vertices, joints = vertices + shift, joints + shift
    tips = []
    for finger in FINGERS:
        last = MODEL_JOINT_NAMES.index(f"{finger}_3")
        bone = joints[last] - joints[last - 1]
        score = np.where(weights[:, last] > 0.5, (vertices - joints[last]) @ bone, -np.inf)
        tips.append(int(score.argmax()))
    shapedirs = np.zeros((len(vertices), 3, 10))
    shapedirs[:, :, 0] = 0.06 * (vertices - joints[0])
    joint_fields = np.zeros((16, 3, 10))
    joint_fields[:, :, 0] = 0.06 * (joints - joints[0])
    j_regressor = regressor(vertices, joints, shapedirs, joint_fields)
    rest = HandModel(
        "rest", vertices, shapedirs, np.zeros((len(vertices), 3, 135)), j_regressor, weights, hand.faces,
        np.array(tips), np.zeros((15, 3)), np.zeros((15, 3, 2)),
    ).rest_joints_21(np.zeros(10))  # fmt: skip
    return {
        "v_template": vertices.astype(np.float32),
        "shapedirs": shapedirs.astype(np.float32),
        "j_regressor": j_regressor.astype(np.float32),
        "weights": weights.astype(np.float32),
        "faces": hand.faces.astype(np.int16),
        "tips": np.array(tips, np.int16),
        "flexion_axes": flexion_axes(rest).astype(np.float32),
        "joint_limits": default_joint_limits().astype(np.float32),
    }


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("generic_hand.npz"), **make(Path(sys.argv[1])))
