"""Read the one skinned mesh of a binary glTF file."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hamba_core.arrays import Array, Int64Array
from hamba_core.errors import HandModelError

_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_DTYPES = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}


@dataclass(frozen=True)
class SkinnedMesh:
    """A mesh without seams in its bind pose, metres."""

    vertices: Array  # (V, 3)
    faces: Int64Array  # (F, 3)
    weights: Array  # (V, J)
    joints: Array  # (J, 3)
    joint_names: tuple[str, ...]


def read_skinned_mesh(path: Path) -> SkinnedMesh:
    """Return the first primitive of the first mesh, its vertices welded where places agree. Raises HandModelError."""
    data = path.read_bytes()
    if data[:4] != b"glTF":
        raise HandModelError(f"{path}: expected a binary glTF file (.glb), found another format; give right.glb")
    (length,) = struct.unpack("<I", data[12:16])
    document = json.loads(data[20 : 20 + length])
    buffer = data[20 + length + 8 :]

    def accessor(index: int) -> np.ndarray[Any, Any]:
        spec = document["accessors"][index]
        view = document["bufferViews"][spec["bufferView"]]
        width, dtype = _WIDTHS[spec["type"]], _DTYPES[spec["componentType"]]
        start = view.get("byteOffset", 0) + spec.get("byteOffset", 0)
        return np.frombuffer(buffer, dtype, spec["count"] * width, start).reshape(-1, width)

    primitive, skin = document["meshes"][0]["primitives"][0], document["skins"][0]
    attributes = primitive["attributes"]
    positions = accessor(attributes["POSITION"])
    vertices, first, welded = np.unique(positions, axis=0, return_index=True, return_inverse=True)
    bones, shares = accessor(attributes["JOINTS_0"])[first], accessor(attributes["WEIGHTS_0"])[first]
    weights = np.zeros((len(vertices), len(skin["joints"])))
    for column in range(4):
        np.add.at(weights, (np.arange(len(vertices)), bones[:, column]), shares[:, column])
    # glTF stores matrices column by column.
    binds = np.linalg.inv(accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1).astype(np.float64))
    return SkinnedMesh(
        vertices=vertices.astype(np.float64),
        faces=welded.reshape(-1)[accessor(primitive["indices"]).reshape(-1, 3).astype(np.int64)],
        weights=weights,
        joints=binds[:, :3, 3],
        joint_names=tuple(document["nodes"][j]["name"] for j in skin["joints"]),
    )
