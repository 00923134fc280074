"""The light on hands, gathered at their vertices: from around, from the main light, and through the skin."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array

from hamba_core.arrays import Array, Float32Array, Int64Array
from stages.synthetic.surfaces.mesh import HandMesh
from stages.synthetic.surfaces.raycasting import RayScene, cone_directions, cosine_directions

AROUND_RAYS = 12
AROUND_REACH = 0.12
"""Metres to which hands darken one another."""
MAIN_RAYS = 4
SETS = 8
"""Neighbouring vertices use different sets of directions, so that no pattern shows."""
NUDGE = 0.0008
"""Metres off the surface where rays from it start."""
SCATTER = (7, 3, 1)
"""How many times red, green and blue light spread to the neighbouring vertices: skin lets red light through."""
SKIN_BOUNCE = (0.22, 0.11, 0.08)
"""What comes back from skin that faces skin, as red as skin."""


@dataclass(frozen=True, eq=False)
class Lights:
    """A soft main light and light from all around. Colours are linear; 1 shows white paper as white."""

    direction: Array  # (3,) unit, camera frame, towards the main light
    colour: Float32Array  # (3,)
    width: float  # radius of the main light one unit off: how soft its shadows are
    above: Float32Array  # (3,) from overhead
    below: Float32Array  # (3,) from the ground
    side: Float32Array  # (3,) from the side opposite the main light
    up: Array  # (3,) unit, camera frame


class Lighting:
    """It gathers the light on the surfaces of several meshes, whose vertices come one mesh after another."""

    def __init__(self, meshes: list[HandMesh], lights: Lights, rng: np.random.Generator) -> None:
        self._lights = lights
        starts = [i * mesh.vertices for i, mesh in enumerate(meshes)]
        both = list(zip(starts, meshes, strict=True))
        self._coarse = np.concatenate([start + np.arange(mesh.coarse_vertices) for start, mesh in both])
        self._edges = np.concatenate([start + mesh.edges for start, mesh in both])
        self._between = np.concatenate([start + np.arange(mesh.coarse_vertices, mesh.vertices) for start, mesh in both])
        self._spread = _spreading(np.concatenate([start + mesh.faces for start, mesh in both]))
        self._around = cosine_directions(AROUND_RAYS, SETS, rng)
        self._main = cone_directions(lights.direction, lights.width, MAIN_RAYS, SETS, rng)
        level = lights.direction - (lights.direction @ lights.up) * lights.up
        self._aside = (-level / np.linalg.norm(level)).astype(np.float32)

    def gather(self, scene: RayScene, vertices: Float32Array, normals: Float32Array) -> Float32Array:
        """Return the light that white skin gives back at each vertex, and what it mirrors: (V, 4)."""
        to_eye = -vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
        facing = np.einsum("ij,ij->i", normals, to_eye)
        # Light from around changes slowly: it is gathered at the coarse mesh's vertices alone.
        around = self._from_around(scene, vertices, normals, self._coarse[facing[self._coarse] > -0.4])
        around[self._between] = (around[self._edges[:, 0]] + around[self._edges[:, 1]]) / 2
        lit = np.flatnonzero(facing > -0.3)
        n = normals[lit]
        towards = self._lights.direction.astype(np.float32)
        main = np.zeros(len(lit), np.float32)
        turned = np.flatnonzero(n @ towards > -0.15)
        start = vertices[lit[turned]] + NUDGE * n[turned]
        main[turned] = scene.free(start, self._main[lit[turned] % SETS]).mean(1)
        # Skin turns dark later than chalk: light enters beside the terminator and comes out behind it.
        wrapped = np.maximum((n @ towards + 0.12) / 1.12, 0)
        light = around.copy()
        light[lit, :3] += (wrapped * main)[:, None] * self._lights.colour
        halfway = towards + to_eye[lit]
        halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
        shine = np.maximum(np.einsum("ij,ij->i", n, halfway), 0)
        rim = (1 - np.clip(facing[lit], 0, 1)) ** 5
        light[:, 3] = 0
        light[lit, 3] = main * (0.055 * shine**14 + 0.05 * shine**48) + (0.012 + 0.10 * rim) * around[lit, 3]
        for channel, times in enumerate(SCATTER):
            column = light[:, channel]
            for _ in range(times):
                column = self._spread @ column
            light[:, channel] = column
        return light

    def _from_around(
        self, scene: RayScene, vertices: Float32Array, normals: Float32Array, index: Int64Array
    ) -> Float32Array:
        """Return the light from around at each vertex, and the share of it that hands do not hide (V, 4).

        It is gathered at the vertices in `index`; the others, which are not visible, get a plain guess.
        """
        lights = self._lights
        light = np.empty((len(vertices), 4), np.float32)
        light[:] = (*(lights.above + lights.below) / 2, 1)
        n = normals[index]
        directions = self._around[index % SETS] @ _axes_about(n)
        free = scene.free(vertices[index] + NUDGE * n, directions, AROUND_REACH)
        weight = free / np.float32(AROUND_RAYS)
        above = np.einsum("ij,ij->i", weight, 0.5 + 0.5 * (directions @ lights.up.astype(np.float32)))
        aside = np.einsum("ij,ij->i", weight, np.maximum(directions @ self._aside, 0))
        unhidden = weight.sum(1)
        light[index, :3] = (
            above[:, None] * lights.above
            + (unhidden - above)[:, None] * lights.below
            + aside[:, None] * lights.side
            + (1 - unhidden)[:, None] * np.array(SKIN_BOUNCE, np.float32)
        )
        light[index, 3] = unhidden
        return light

    def shadow(self, scene: RayScene, points: Float32Array) -> Float32Array:
        """Return the share (N,) of the main light that reaches these places (N, 3) off the hands."""
        return np.asarray(scene.free(points, self._main[np.arange(len(points)) % SETS]).mean(1), np.float32)


def _axes_about(n: Float32Array) -> Float32Array:
    """Return right-handed axes (N, 3, 3), as rows, the third along the unit vectors n (N, 3).

    Duff et al., "Building an orthonormal basis, revisited", JCGT 2017.
    """
    sign = np.copysign(np.float32(1), n[:, 2])
    a = -1 / (sign + n[:, 2])
    b = n[:, 0] * n[:, 1] * a
    first = (1 + sign * n[:, 0] ** 2 * a, sign * b, -sign * n[:, 0])
    second = (b, sign + n[:, 1] ** 2 * a, -n[:, 1])
    return np.stack([*first, *second, *n.T], 1).reshape(-1, 3, 3)


def _spreading(faces: Int64Array) -> csr_array:
    """Return a sparse (V, V) matrix that mixes a vertex's light half and half with its neighbours' mean."""
    count = int(faces.max()) + 1
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends = np.unique(np.concatenate([ends, ends[:, ::-1], np.repeat(np.arange(count)[:, None], 2, 1)]), axis=0)
    near = csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    mean = diags_array(0.5 / near.sum(1)) @ near
    return csr_array(mean + 0.5 * diags_array(np.ones(count))).astype(np.float32)
