"""Refine a part of a triangle mesh, so that it curves where its triangles were too large to."""

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array, Int64Array
from hamba_core.hand.meshes import vertex_normals


def refined(
    vertices: Array, faces: Int64Array, weights: Array, marked: NDArray[np.bool_]
) -> tuple[Array, Int64Array, Array]:
    """Return vertices, faces and weights with a new vertex on every edge of the marked faces (F,).

    Old vertices stay. A new one lies midway on the cubic curve that leaves both ends at right angles to their normals
    (curved PN triangles, Vlachos et al., I3D 2001); its weights are the mean of both ends'. Faces
    that share only some edges with marked ones are split to fit, so that a closed mesh stays closed.
    """
    edges = np.unique(np.sort(faces[marked][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)), axis=0)
    a, b = edges.T
    normals = vertex_normals(vertices, faces)
    chord = vertices[b] - vertices[a]
    rise_a = np.sum(chord * normals[a], 1, keepdims=True) * normals[a]
    rise_b = np.sum(-chord * normals[b], 1, keepdims=True) * normals[b]
    middle = (vertices[a] + vertices[b]) / 2 - (rise_a + rise_b) / 8
    new_vertex = {(int(i), int(j)): len(vertices) + k for k, (i, j) in enumerate(edges)}
    new_faces = [part for face in faces for part in _split(tuple(int(i) for i in face), new_vertex)]
    return (
        np.vstack([vertices, middle]),
        np.array(new_faces),
        np.vstack([weights, (weights[a] + weights[b]) / 2]),
    )


def _split(face: tuple[int, ...], new_vertex: dict[tuple[int, int], int]) -> list[tuple[int, int, int]]:
    """Return the triangles that take the place of a face some of whose edges have a new vertex; the winding is kept."""
    middles = [new_vertex.get((min(p, q), max(p, q))) for p, q in zip(face, face[1:] + face[:1], strict=True)]
    # Cut off each corner between two new vertices; what is left is a polygon, and triangles fan out over it.
    parts, rest = [], []
    for corner in range(3):
        before, after = middles[corner - 1], middles[corner]
        if before is not None and after is not None:
            parts.append((before, face[corner], after))
        else:
            rest.append(face[corner])
        if after is not None:
            rest.append(after)
    # The fan starts at a new vertex, or it would have a triangle without area.
    start = next((i for i, vertex in enumerate(rest) if vertex in middles), 0)
    rest = rest[start:] + rest[:start]
    return parts + [(rest[0], rest[i], rest[i + 1]) for i in range(1, len(rest) - 1)]
