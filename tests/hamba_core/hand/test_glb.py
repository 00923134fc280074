"""Reading and refining the mesh that the generic hand is made from."""

import json
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hamba_core.errors import HandModelError
from hamba_core.hand.generic_hand.make.glb import read_skinned_mesh
from hamba_core.hand.generic_hand.make.refinement import refined

OCTAHEDRON = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
OCTAHEDRON_FACES = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])


def write_glb(path: Path) -> None:
    """Two triangles that share an edge but not its vertices, skinned to two bones."""
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], "<f4")
    bones = np.array([[0, 1, 0, 0]] * 6, "u1")
    weights = np.array([[1 - x, x, 0, 0] for x in positions[:, 0]], "<f4")
    inverse_binds = np.tile(np.eye(4, dtype="<f4"), (2, 1, 1))
    inverse_binds[1, 3, :3] = (-1, -2, -3)  # column by column, so the translation is the last row here
    parts = [positions, bones, weights, np.arange(6, dtype="<u2"), inverse_binds]
    kinds = [("VEC3", 5126, 6), ("VEC4", 5121, 6), ("VEC4", 5126, 6), ("SCALAR", 5123, 6), ("MAT4", 5126, 2)]
    views, buffer = [], b""
    for part in parts:
        views.append({"buffer": 0, "byteOffset": len(buffer), "byteLength": part.nbytes})
        buffer += part.tobytes()
    document = {
        "nodes": [{"name": "root"}, {"name": "bone"}],
        "skins": [{"joints": [0, 1], "inverseBindMatrices": 4}],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "JOINTS_0": 1, "WEIGHTS_0": 2}, "indices": 3}]},
        ],
        "accessors": [
            {"bufferView": i, "type": kind, "componentType": dtype, "count": count}
            for i, (kind, dtype, count) in enumerate(kinds)
        ],
        "bufferViews": views,
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(buffer), 0x004E4942) + buffer
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


def test_seams_are_welded_with_their_weights(tmp_path: Path) -> None:
    write_glb(tmp_path / "mesh.glb")
    mesh = read_skinned_mesh(tmp_path / "mesh.glb")
    assert mesh.vertices.shape == (4, 3)
    np.testing.assert_array_equal(mesh.vertices[mesh.faces[0]], [[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert len(set(mesh.faces[0]) & set(mesh.faces[1])) == 2
    np.testing.assert_allclose(mesh.weights, np.column_stack([1 - mesh.vertices[:, 0], mesh.vertices[:, 0]]))


def test_joints_are_where_the_bind_pose_has_them(tmp_path: Path) -> None:
    write_glb(tmp_path / "mesh.glb")
    mesh = read_skinned_mesh(tmp_path / "mesh.glb")
    assert mesh.joint_names == ("root", "bone")
    np.testing.assert_allclose(mesh.joints, [[0, 0, 0], [1, 2, 3]])


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mesh.glb").write_text("solid")
    with pytest.raises(HandModelError, match="expected a binary glTF file"):
        read_skinned_mesh(tmp_path / "mesh.glb")


@pytest.mark.parametrize("pattern", range(256))
def test_refining_any_part_keeps_a_closed_mesh_closed(pattern: int) -> None:
    marked = np.array([bool(pattern >> i & 1) for i in range(8)])
    vertices, faces, weights = refined(OCTAHEDRON, OCTAHEDRON_FACES, np.eye(6), marked)
    edges = Counter((int(f[i]), int(f[i - 2])) for f in faces for i in range(3))
    assert set(edges.values()) == {1}
    assert all((b, a) in edges for a, b in edges)
    assert len(vertices) - len(edges) // 2 + len(faces) == 2
    np.testing.assert_allclose(weights.sum(1), 1)


def test_refining_rounds_towards_the_sphere() -> None:
    vertices, faces, _ = refined(OCTAHEDRON, OCTAHEDRON_FACES, np.eye(6), np.ones(8, bool))
    assert len(faces) == 32
    np.testing.assert_array_equal(vertices[:6], OCTAHEDRON)
    # The middles of the flat edges lie at 0.71 of the radius.
    assert (np.linalg.norm(vertices[6:], axis=1) > 0.87).all()
