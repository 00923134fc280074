"""A texture colours a mesh without a map of it, by a small grid of texels on each face."""

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array, Int64Array
from stages.synthetic.surfaces.mesh import HandMesh
from stages.synthetic.surfaces.noise import Noise
from stages.synthetic.surfaces.skin import Skin, Spots

ARM_SHARE = 0.4
"""Texels along a face's side on arms, relative to hands: there is little to see on them."""
CLOTH_GLOSS = 0.12


class Texture:
    """Colour and gloss on the faces of one topology."""

    def __init__(self, mesh: HandMesh, skin: Skin, sleeve: Float32Array, noise: Noise, texels: int) -> None:
        """Take the number of `texels` along the side of a hand's face."""
        model_faces, skin_faces = mesh.skin_faces
        on_arm = max(1, round(ARM_SHARE * texels))
        sides = np.where(mesh.coarse_of_face < model_faces, texels, on_arm)
        self._sides = sides
        self._first = np.concatenate([[0], np.cumsum(sides**2)[:-1]])
        face = np.repeat(np.arange(len(sides)), sides**2)
        row, column = np.divmod(np.arange(len(face)) - self._first[face], sides[face])
        # These are cells' centres; those beyond the face's long side stand for the halves of cells that lie on it.
        u, v = (column + 0.4) / sides[face], (row + 0.4) / sides[face]
        bary = np.stack([1 - u - v, u, v], 1).astype(np.float32)
        corners = mesh.faces[face]

        def spread(values: NDArray[np.floating]) -> Float32Array:
            given = values.astype(np.float32)
            mixed = sum(given[corners[:, k]] * bary[:, k : k + 1] for k in range(3))
            return np.asarray(mixed, np.float32)

        points, normals = spread(mesh.rest.vertices), spread(mesh.rest.normals)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
        is_skin = mesh.coarse_of_face[face] < skin_faces
        self._texels = np.empty((len(face), 4), np.float32)
        self._texels[is_skin] = skin.paint(Spots(points[is_skin], normals[is_skin], spread(mesh.weights)[is_skin]))
        cloth = points[~is_skin]
        knit = 1 + 0.10 * noise(cloth, 0.004, 2) + 0.12 * noise(cloth * np.array([1, 0.15, 1]), 0.0022)
        self._texels[~is_skin, :3] = sleeve * knit[:, None]
        self._texels[~is_skin, 3] = CLOTH_GLOSS

    def at(self, face: Int64Array, uv: Float32Array) -> Float32Array:
        """Return colour and gloss (N, 4) at places on faces (N,), in the form in which `Hits` has them."""
        side = self._sides.take(face)
        column, row = (np.minimum((uv[:, k] * side).astype(np.int64), side - 1) for k in (0, 1))
        return np.asarray(self._texels.take(self._first.take(face) + row * side + column, 0))
