"""Triangle meshes from rings and grids, and their normals."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Floats = TypeVar("Floats", np.float32, np.float64)


def tube_faces(first: IntArray, second: IntArray) -> IntArray:
    """Return triangles (2 n, 3) between two closed rings of n vertices."""
    a, b, c, d = first, np.roll(first, -1), second, np.roll(second, -1)
    return np.concatenate([np.stack([b, a, c], 1), np.stack([b, c, d], 1)])


def rings_faces(rings: int, sides: int) -> IntArray:
    """Return triangles of `rings` closed rings of `sides` vertices each, numbered ring after ring."""
    at = np.arange(rings * sides).reshape(rings, sides)
    return np.concatenate([tube_faces(at[k], at[k + 1]) for k in range(rings - 1)])


def longest_border(faces: IntArray) -> IntArray:
    """Return vertices of the longest open border, in the faces' direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    known = set(map(tuple, edges.tolist()))
    following = {a: b for a, b in known if (b, a) not in known}
    loops = []
    while following:
        loop = [min(following)]
        while (after := following.pop(loop[-1], None)) is not None and after != loop[0]:
            loop.append(after)
        loops.append(loop)
    return np.array(max(loops, key=len))


def incidence(faces: IntArray, vertices: int) -> csr_array:
    """Sparse (V, F) matrix: which faces meet at a vertex."""
    columns = np.repeat(np.arange(len(faces)), 3)
    return csr_array((np.ones(faces.size, np.float32), (faces.ravel(), columns)), shape=(vertices, len(faces)))


def vertex_normals(vertices: Array, faces: IntArray, at: csr_array | None = None) -> Array:
    """Unit normals (V, 3), faces weighted by their area; `at` is their incidence, where it is known."""
    points = vertices.astype(np.float32)
    a, b, c = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
    u, v = b - a, c - a
    crossed = np.stack([u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1], u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2],
                        u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]], 1)  # fmt: skip
    total = (incidence(faces, len(vertices)) if at is None else at) @ crossed
    return unit(np.asarray(total, np.float64))


def unit(vectors: NDArray[Floats]) -> NDArray[Floats]:
    """Return vectors (N, 3) of length one; zero stays zero."""
    squares = np.einsum("ij,ij->i", vectors, vectors)  # several times as fast as a norm along rows of three
    return np.asarray(vectors / np.sqrt(np.maximum(squares, 1e-24))[:, None], vectors.dtype)
