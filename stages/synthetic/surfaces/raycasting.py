"""Rays are cast at triangle meshes with Open3D's Embree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array, Int64Array


@dataclass(frozen=True, eq=False)
class Hits:
    """The first thing that each of N rays met."""

    mesh: Int64Array  # (N,), -1 where a ray met nothing
    face: Int64Array  # (N,) of that mesh
    uv: Float32Array  # (N, 2) barycentric: the weights of a face's second and third corner
    distance: Float32Array  # (N,) in lengths of the ray's direction; infinite where it met nothing


class RayScene:
    """Meshes, each (vertices (V, 3), faces (F, 3)), to cast rays at."""

    def __init__(self, meshes: Sequence[tuple[NDArray[np.floating], Int64Array]]) -> None:
        self._scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        for vertices, faces in meshes:
            self._scene.add_triangles(_tensor(vertices, np.float32), _tensor(faces, np.uint32))

    def cast(self, directions: NDArray[np.floating], starts: NDArray[np.floating] | None = None) -> Hits:
        """Cast rays along directions (N, 3) from starts (N, 3), or from the origin."""
        rays = np.zeros((len(directions), 6), np.float32)
        rays[:, 3:] = directions
        if starts is not None:
            rays[:, :3] = starts
        answer = self._scene.cast_rays(_tensor(rays, np.float32))
        mesh = answer["geometry_ids"].numpy().astype(np.int64)
        mesh[mesh == self._scene.INVALID_ID] = -1
        face = answer["primitive_ids"].numpy().astype(np.int64)
        return Hits(mesh, face, answer["primitive_uvs"].numpy(), answer["t_hit"].numpy())

    def free(
        self, starts: NDArray[np.floating], directions: NDArray[np.floating], reach: float = np.inf
    ) -> NDArray[np.bool_]:
        """Return where (N, K) nothing stands within `reach` in directions (N, K, 3) from starts (N, 3)."""
        rays = np.empty((*directions.shape[:2], 6), np.float32)
        rays[..., :3] = starts[:, None]
        rays[..., 3:] = directions
        blocked: NDArray[np.bool_] = self._scene.test_occlusions(_tensor(rays, np.float32), 0.0, reach).numpy()
        return ~blocked


def _tensor(array: NDArray[np.generic], dtype: type[np.generic]) -> "o3d.core.Tensor":
    return o3d.core.Tensor.from_numpy(np.ascontiguousarray(array, dtype))


def cosine_directions(count: int, sets: int, rng: np.random.Generator) -> Float32Array:
    """Return `sets` sets of unit directions (sets, count, 3) about +z, as dense as their cosine with it."""
    radius, angle = _sunflower(count, sets, rng)
    z = np.broadcast_to(np.sqrt(1 - radius**2), angle.shape)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], -1).astype(np.float32)


def cone_directions(
    axis: NDArray[np.float64], width: float, count: int, sets: int, rng: np.random.Generator
) -> Float32Array:
    """Return sets of unit directions (sets, count, 3) towards a disc of this radius, one unit off along `axis` (3,)."""
    radius, angle = _sunflower(count, sets, rng)
    across = np.cross(axis, (0.0, 0.0, 1.0) if abs(axis[2]) < 0.9 else (0.0, 1.0, 0.0))
    across /= np.linalg.norm(across)
    x, y = (width * radius * np.cos(angle))[..., None], (width * radius * np.sin(angle))[..., None]
    directions = axis + x * across + y * np.cross(axis, across)
    return np.asarray(directions / np.linalg.norm(directions, axis=-1, keepdims=True), np.float32)


def _sunflower(count: int, sets: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return radii (count,) and angles (sets, count) spread evenly over the unit disc, each set turned at random."""
    i = np.arange(count) + 0.5
    return np.sqrt(i / count), i * np.pi * (3 - np.sqrt(5)) + rng.uniform(0, 2 * np.pi, (sets, 1))
