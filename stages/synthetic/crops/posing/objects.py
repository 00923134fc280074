"""Things that hands hold and that stand before them: boxes, cylinders and balls, as surfaces and as distances."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from stages.synthetic.crops.draws import log_uniform

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Form = Literal["box", "cylinder", "ball"]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface with its own coordinates, which textures are read at."""

    vertices: Array  # (V, 3) m
    normals: Array  # (V, 3) unit, outwards
    faces: IntArray  # (F, 3), wound counter-clockwise seen from outside
    local: Array  # (V, 3) m, fixed to the surface


@dataclass(frozen=True, eq=False)
class Thing:
    """A solid: half its size along its own axes, and where it is. A cylinder's axis is its own z."""

    form: Form
    half: Array  # (3,) m
    R: Array  # (3, 3): columns are its axes
    centre: Array  # (3,) m

    def distance(self, points: Array) -> Array:
        """Signed distance (...), metres, of points (..., 3) from its surface; negative inside."""
        own = (points - self.centre) @ self.R
        if self.form == "ball":
            return np.asarray(np.linalg.norm(own, axis=-1) - self.half[0])
        if self.form == "box":
            beyond = np.abs(own) - self.half
        else:
            across = np.linalg.norm(own[..., :2], axis=-1) - self.half[0]
            beyond = np.stack([across, np.abs(own[..., 2]) - self.half[2]], -1)
        return np.asarray(np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(-1), 0))

    def moved(self, R: Array, t: Array) -> "Thing":
        """Return the thing after a rotation and a translation."""
        return Thing(self.form, self.half, R @ self.R, R @ self.centre + t)

    def mesh(self) -> Mesh:
        """Return its surface where it is."""
        points, normals, faces = _unit_mesh(self.form)
        local = points * self.half
        turned = normals / self.half
        turned = turned / np.linalg.norm(turned, axis=1, keepdims=True)
        return Mesh(local @ self.R.T + self.centre, turned @ self.R.T, faces, local)


def random_thing(rng: np.random.Generator, centre: Array, largest: float = 0.09) -> Thing:
    """Something of a likely form and size, turned at random, around a place."""
    forms: tuple[Form, ...] = ("box", "cylinder", "ball")
    form = forms[int(rng.choice(3, p=[0.5, 0.38, 0.12]))]
    size = log_uniform(rng, 0.012, largest)
    if form == "ball":
        half = np.full(3, size / 2)
    elif form == "cylinder":
        radius = size * rng.uniform(0.08, 0.6)
        half = np.array([radius, radius, size * rng.uniform(0.4, 1.6)])
    else:
        half = size * np.array([rng.uniform(0.3, 1), rng.uniform(0.1, 1), rng.uniform(0.5, 1.4)]) / 1.5
    return Thing(form, half, Rotation.random(random_state=rng).as_matrix(), centre)


@lru_cache(maxsize=3)
def _unit_mesh(form: Form) -> tuple[Array, Array, IntArray]:
    """Return vertices, normals and faces of a form whose half sizes are one."""
    if form == "box":
        sides = []
        for axis in range(3):
            for sign in (-1.0, 1.0):
                u, v = np.meshgrid(np.linspace(-1, 1, 6), np.linspace(-1, 1, 6), indexing="ij")
                points = np.empty((36, 3))
                points[:, axis] = sign
                points[:, (axis + 1) % 3], points[:, (axis + 2) % 3] = u.ravel(), v.ravel()
                normal = np.zeros(3)
                normal[axis] = sign
                sides.append((points, np.tile(normal, (36, 1)), _grid_faces(6, 6)))
        return _joined(sides)
    if form == "ball":
        polar, around = np.meshgrid(np.linspace(0, np.pi, 17), np.linspace(0, 2 * np.pi, 33), indexing="ij")
        points = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], -1)
        points = points.reshape(-1, 3)
        return _joined([(points, points, _grid_faces(17, 33))])
    around, along = np.meshgrid(np.linspace(0, 2 * np.pi, 33), np.linspace(-1, 1, 9), indexing="ij")
    tube = np.stack([np.cos(around), np.sin(around), along], -1).reshape(-1, 3)
    parts = [(tube, tube * (1, 1, 0), _grid_faces(33, 9))]
    for sign in (-1.0, 1.0):
        around, radius = np.meshgrid(np.linspace(0, 2 * np.pi, 33), np.linspace(0, 1, 5), indexing="ij")
        cap = np.stack([radius * np.cos(around), radius * np.sin(around), np.full_like(radius, sign)], -1)
        parts.append((cap.reshape(-1, 3), np.tile((0.0, 0.0, sign), (cap.size // 3, 1)), _grid_faces(33, 5)))
    return _joined(parts)


def _grid_faces(rows: int, columns: int) -> IntArray:
    at = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = at[:-1, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])


def _joined(parts: list[tuple[Array, Array, IntArray]]) -> tuple[Array, Array, IntArray]:
    points = np.concatenate([part[0] for part in parts])
    normals = np.concatenate([part[1] for part in parts])
    firsts = np.cumsum([0] + [len(part[0]) for part in parts[:-1]])
    faces = np.concatenate([part[2] + first for part, first in zip(parts, firsts, strict=True)])
    corners = points[faces]
    inwards = np.einsum("ij,ij->i", np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]),
                        normals[faces].sum(1)) < 0  # fmt: skip
    faces[inwards] = faces[inwards, ::-1]
    return points, normals, faces
