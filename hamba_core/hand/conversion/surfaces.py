"""Which place of one hand's surface each vertex of another hand lies on."""

from typing import Final, NamedTuple

import numpy as np

from hamba_core.arrays import Array, Int64Array
from hamba_core.hand.meshes import rims

_CANDIDATES: Final = 16  # faces, nearest by their middles
_NOTHING: Final = 1e-6  # of a corner's share
_ALIKE: Final = 0.3  # least cosine between normals of places that are the same


class Places(NamedTuple):
    """N places on a mesh."""

    corners: Int64Array  # (N, 3) vertices
    shares: Array  # (N, 3) of the corners
    weights: Array  # (N,) 0 where there is no such place on the mesh

    def positions_on(self, vertices: Array) -> Array:
        """Return where they are (..., N, 3) on meshes with these vertices (..., V, 3)."""
        corners = vertices[..., self.corners, :]
        places: Array = np.einsum("...ncx,nc->...nx", corners, self.shares)
        return places


def nearest_places(
    points: Array,
    normals: Array,
    fingers: Int64Array,
    vertices: Array,
    faces: Int64Array,
    of_vertices: Int64Array,
    candidates: int = _CANDIDATES,
) -> Places:
    """Return for points (N, 3) with unit normals (N, 3) the nearest places on a mesh (V, 3), (F, 3).

    `fingers` (N,) and `of_vertices` (V,) say to which finger points and vertices belong, -1 for the palm: a point of a
    finger has no place on another one, nor where the mesh faces elsewhere, nor at its open border. Only so many
    `candidates` of faces, the nearest by their middles, are looked at.
    """
    from scipy.spatial import cKDTree

    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    face_normals /= np.maximum(np.linalg.norm(face_normals, axis=1, keepdims=True), 1e-12)
    of_faces = of_vertices[faces].max(1)
    near = np.asarray(cKDTree(corners.mean(1)).query(points, k=candidates)[1])
    shares = _nearest_in_triangles(points[:, None], corners[near])
    apart = np.linalg.norm(np.einsum("nkcx,nkc->nkx", corners[near], shares) - points[:, None], axis=-1)
    facing = np.einsum("nkx,nx->nk", face_normals[near], normals) > _ALIKE
    other = (of_faces[near] != fingers[:, None]) & (of_faces[near] >= 0) & (fingers[:, None] >= 0)
    cost = np.where(facing & ~other, apart, np.inf)
    best = cost.argmin(1)
    row = np.arange(len(points))
    chosen, found = near[row, best], np.isfinite(cost[row, best])
    on_rim = np.zeros(len(vertices), bool)
    on_rim[[vertex for rim in rims(faces) for vertex in rim]] = True
    supports = shares[row, best] > _NOTHING
    at_border = (supports.sum(1) < 3) & (on_rim[faces[chosen]] | ~supports).all(1)
    return Places(faces[chosen], shares[row, best], (found & ~at_border).astype(np.float64))


def _nearest_in_triangles(points: Array, corners: Array) -> Array:
    """Return the shares (..., 3) of triangles' corners (..., 3, 3) at the places nearest to points (..., 3).

    The nearest place of the plane, if that is inside; else the nearest of the three edges' nearest places.
    """
    a, b, c = np.moveaxis(corners, -2, 0)
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-20)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    inside = (v >= 0) & (w >= 0) & (v + w <= 1)
    best = np.stack([1 - v - w, v, w], -1)
    distance = np.where(inside, -1.0, np.inf)
    for first, second in ((0, 1), (1, 2), (2, 0)):
        start, along = corners[..., first, :], corners[..., second, :] - corners[..., first, :]
        share = ((points - start) * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-20)
        share = share.clip(0, 1)
        apart = np.linalg.norm(start + share[..., None] * along - points, axis=-1)
        on_edge = np.zeros(best.shape)
        on_edge[..., first], on_edge[..., second] = 1 - share, share
        nearer = apart < distance
        best = np.where(nearer[..., None], on_edge, best)
        distance = np.where(nearer, apart, distance)
    return best
