"""What is asked of a triangle mesh: where it faces, and where it ends."""

from typing import TYPE_CHECKING

import numpy as np

from hamba_core.arrays import AnyFloats, AnyInts, Array, Int64Array

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def face_incidence(faces: AnyInts, vertices: int) -> "csr_array":
    """Return a sparse (V, F) matrix of ones that says which of these faces (F, 3) meet at each vertex."""
    from scipy.sparse import csr_array

    columns = np.repeat(np.arange(len(faces)), 3)
    return csr_array((np.ones(faces.size), (faces.ravel(), columns)), shape=(vertices, len(faces)))


def vertex_normals(vertices: AnyFloats, faces: AnyInts, incidence: "csr_array | None" = None) -> Array:
    """Return unit normals (..., V, 3) of meshes (..., V, 3) with the same faces (F, 3), which count by their area.

    They point outwards where the faces are wound counter-clockwise seen from outside. A vertex in no face, or in faces
    without area, gets +z. `incidence` is `face_incidence` of the faces, for callers that ask again and again.
    """
    *leading, count, _ = vertices.shape
    # (V, 3, N): long runs in memory.
    points = np.ascontiguousarray(np.reshape(vertices, (-1, count, 3)).transpose(1, 2, 0), np.float64)
    first = points[faces[:, 0]]
    (ax, ay, az), (bx, by, bz) = ((points[faces[:, i]] - first).transpose(1, 0, 2) for i in (1, 2))
    crossed = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], 1)
    meeting = face_incidence(faces, count) if incidence is None else incidence
    total = (meeting @ crossed.reshape(len(faces), -1)).reshape(points.shape)
    length = np.sqrt((total * total).sum(1, keepdims=True))
    normals = np.divide(total, length, out=np.zeros_like(total), where=length > 0)
    normals[:, 2] += length[:, 0] == 0
    result: Array = normals.transpose(2, 0, 1).reshape(*leading, count, 3)
    return result


def rims(faces: AnyInts) -> list[list[int]]:
    """Return the vertices along each open border of a mesh with these faces (F, 3), in the faces' direction.

    Each begins with its smallest vertex.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    known = {(a, b) for a, b in edges.tolist()}
    following = {a: b for a, b in known if (b, a) not in known}
    borders = []
    for start in sorted(following):
        if start in following:
            border = [start]
            while (after := following.pop(border[-1], None)) is not None and after != start:
                border.append(after)
            borders.append(border)
    return borders


def close_holes(faces: AnyInts) -> Int64Array:
    """Return the faces (F, 3) and, for each hole, a fan that closes it: a hand's mesh may end open at the wrist."""
    fans = [(rim[0], rim[i + 1], rim[i]) for rim in rims(faces) for i in range(1, len(rim) - 1)]
    return np.concatenate([np.asarray(faces, np.int64), np.array(fans, np.int64).reshape(-1, 3)])
