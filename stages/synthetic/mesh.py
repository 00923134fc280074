"""The surface that is drawn: a hand model's mesh, smoothed, with a forearm and a sleeve grown from its wrist.

The model's own vertices stay exactly where the model puts them; between them the surface is rounded by curved
PN triangles (Vlachos et al., "Curved PN triangles", I3D 2001), sampled once along each edge.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation

from hamba_core.hand_model import MIRROR, HandModel
from stages.synthetic.motion import HandState, palm_basis

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

WRIST_CUT = 0.004
"""Metres behind the wrist joint where the forearm takes over from the model's mesh."""

SKIN_RINGS = (0.012, 0.022, 0.032, 0.044, 0.058, 0.075, 0.095)
"""Metres behind the wrist of the rings of skin."""

SLEEVE_RINGS = ((0.088, -0.004), (0.074, -0.002), (0.072, 0.003), (0.075, 0.006), (0.095, 0.008), (0.12, 0.010),
                (0.15, 0.011), (0.19, 0.016), (0.25, 0.019), (0.35, 0.022), (0.9, 0.03))  # fmt: skip
"""(metres behind the wrist, metres above the skin) of the sleeve, from inside its cuff outwards."""

SLEEVE_SIDES = 24
BEND_LENGTH = 0.05
"""Metres behind the wrist over which the forearm takes its own direction."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A posed surface in the camera frame."""

    vertices: Array  # (V, 3) m
    normals: Array  # (V, 3) unit, outwards


def _boundary_loop(faces: IntArray) -> IntArray:
    """Vertices of the longest open border, in the faces' direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    known = {(a, b) for a, b in edges.tolist()}
    following = {a: b for a, b in known if (b, a) not in known}
    loops = []
    while following:
        loop = [next(iter(following))]
        while (after := following.pop(loop[-1], None)) is not None and after != loop[0]:
            loop.append(after)
        loops.append(loop)
    return np.array(max(loops, key=len))


def _tube_faces(first: IntArray, second: IntArray) -> IntArray:
    """Triangles (2 n, 3) between two closed rings of n vertices."""
    a, b, c, d = first, np.roll(first, -1), second, np.roll(second, -1)
    return np.concatenate([np.stack([b, a, c], 1), np.stack([b, c, d], 1)])


class HandMesh:
    """One hand's surface: its topology and how to pose it.

    Vertices are those of the model, then of the forearm, then of the sleeve, then one for each edge between them.
    """

    def __init__(self, model: HandModel, betas: Array, rng: np.random.Generator) -> None:
        self._model = model
        rest = model.rest_joints_21(betas)
        self._basis = palm_basis(rest)  # columns: thumb's side, fingers, out of the palm
        shaped = (model.v_template + model.shapedirs @ betas - rest[0]) @ self._basis
        coarse = self._grow_arm(shaped, rng)
        self._coarse_faces = coarse
        edges = np.sort(np.concatenate([coarse[:, [0, 1]], coarse[:, [1, 2]], coarse[:, [2, 0]]]), 1)
        self.edges, which = np.unique(edges, axis=0, return_inverse=True)
        """(E, 2) coarse vertices: vertex `coarse_vertices + e` of the surface lies between those of edge e."""
        middle = which.reshape(3, -1).T + self.coarse_vertices
        a, b, c = coarse.T
        ab, bc, ca = middle.T
        self.faces = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], 1).reshape(-1, 3)
        """(F, 3), four for each coarse face, wound outwards for a right hand."""
        self.coarse_of_face = np.repeat(np.arange(len(coarse)), 4)
        self.vertices = self.coarse_vertices + len(self.edges)
        self._coarse_incidence = _incidence(coarse, self.coarse_vertices)
        self._incidence = _incidence(self.faces, self.vertices)
        self.rest = Surface(*self._rounded(np.concatenate([shaped, self._arm_rest]), 1.0))
        """At rest, in palm coordinates: towards the thumb's side, the fingers and out of the palm."""
        weights = np.zeros((self.coarse_vertices, 16))
        weights[:, 0] = 1
        weights[: self.model_vertices] = model.weights
        self.weights = np.concatenate([weights, weights[self.edges].mean(1)])
        """(V, 16) skinning weights."""

    def _grow_arm(self, shaped: Array, rng: np.random.Generator) -> IntArray:
        """Set the arm's rings, as distances behind the wrist and offsets across; give the coarse faces."""
        along = shaped[:, 1]
        kept = self._model.faces[(along[self._model.faces] > -WRIST_CUT).any(1)]
        rim = _boundary_loop(kept)
        centre = shaped[rim].mean(0)
        angle = np.arctan2(shaped[rim, 2] - centre[2], shaped[rim, 0] - centre[0])
        half = np.abs(shaped[rim][:, [0, 2]] - centre[[0, 2]]).max(0)
        behind, across = [], []

        def ellipse(at: float, angles: Array, more: float = 0.0) -> Array:
            growth = np.interp(at, [0, 0.03, 0.12, 0.25], [1.0, 1.02, 1.22, 1.42])
            wide = half * (growth, np.interp(at, [0, 0.25], [1, 1.2]) * growth) + more
            return np.asarray(np.stack([np.cos(angles), np.sin(angles)], 1) * wide)

        for at in SKIN_RINGS:
            share = min(1.0, (at - WRIST_CUT) / 0.04)
            own = shaped[rim][:, [0, 2]] - centre[[0, 2]]
            behind.append(np.full(len(rim), at) + (1 - share) * (-along[rim] - WRIST_CUT - 0.004))
            across.append((1 - share) * own + share * ellipse(at, angle) + (1 - share / 2) * centre[[0, 2]])
        around = np.linspace(0, 2 * np.pi, SLEEVE_SIDES, endpoint=False) * np.sign(_turning(angle))
        folds = rng.normal(0, 1, (len(SLEEVE_RINGS), 4))
        for k, (at, more) in enumerate(SLEEVE_RINGS):
            fold = sum(folds[k, m] * np.cos((m + 1) * around + 3 * folds[k, m - 1]) for m in range(4)) * 0.0012
            ring = ellipse(at, around, more) + centre[[0, 2]] / 2
            behind.append(np.full(SLEEVE_SIDES, at))
            across.append(ring * (1 + (k > 3) * 20 * np.asarray(fold)[:, None]))
        self._behind, self._across = np.concatenate(behind), np.concatenate(across)
        self._arm_rest = np.stack([self._across[:, 0], -self._behind, self._across[:, 1]], 1)
        self.model_vertices = len(shaped)
        self.coarse_vertices = len(shaped) + len(self._behind)
        skin = [rim, *(len(shaped) + np.arange(len(SKIN_RINGS) * len(rim)).reshape(-1, len(rim)))]
        base = len(shaped) + len(SKIN_RINGS) * len(rim)
        sleeve = base + np.arange(len(SLEEVE_RINGS) * SLEEVE_SIDES).reshape(-1, SLEEVE_SIDES)
        tubes = [[_tube_faces(a, b) for a, b in pairwise(rings)] for rings in (skin, [*sleeve])]
        self.skin_faces = len(kept), len(kept) + sum(len(t) for t in tubes[0])
        """Coarse faces before the first number are the model's, before the second the forearm's, then the sleeve's."""
        return np.concatenate([kept, *tubes[0], *tubes[1]])

    def pose(self, hand_vertices: Array, state: HandState) -> Surface:
        """The surface for the model's posed vertices (V, 3), camera frame, of this state."""
        sign = -1.0 if state.side == "left" else 1.0
        coarse = np.concatenate([hand_vertices, self._posed_arm(state)])
        return Surface(*self._rounded(coarse, sign))

    def _posed_arm(self, state: HandState) -> Array:
        """Vertices of forearm and sleeve: rings along a line that bends from the hand's direction to the forearm's."""
        mirror = MIRROR if state.side == "left" else np.eye(3)
        hand = state.global_orient @ self._basis
        backwards, elbow = -hand[:, 1], mirror @ state.forearm
        turn = Rotation.align_vectors(elbow[None], backwards[None])[0].as_rotvec()
        stops = np.concatenate([np.linspace(0, BEND_LENGTH, 12), [1.0]])
        bent = Rotation.from_rotvec(turn * np.minimum(stops / BEND_LENGTH, 1)[:, None])
        directions = bent.apply(backwards)
        steps = np.diff(stops)[:, None] * (directions[1:] + directions[:-1]) / 2
        line = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, 0)])
        centres = np.stack([np.interp(self._behind, stops, line[:, k]) for k in range(3)], 1)
        turned = Rotation.from_rotvec(turn * np.minimum(self._behind / BEND_LENGTH, 1)[:, None])
        offsets = turned.apply(self._across @ hand[:, [0, 2]].T)
        return np.asarray((centres + offsets) @ mirror + state.wrist)

    def _rounded(self, coarse: Array, sign: float) -> tuple[Array, Array]:
        vertices = self._fill_edges(coarse)
        return vertices, sign * _normals(vertices, self.faces, self._incidence)

    def _fill_edges(self, coarse: Array) -> Array:
        """Add a vertex for each edge, on the PN triangles' cubic curve over it."""
        normals = _normals(coarse, self._coarse_faces, self._coarse_incidence)
        a, b = self.edges.T
        span = coarse[b] - coarse[a]
        rise_a = np.einsum("ij,ij->i", span, normals[a])[:, None] * normals[a]
        rise_b = np.einsum("ij,ij->i", -span, normals[b])[:, None] * normals[b]
        return np.concatenate([coarse, (coarse[a] + coarse[b]) / 2 - (rise_a + rise_b) / 8])


def _turning(angles: Array) -> float:
    """The sum of the steps around a ring: positive for one that turns counter-clockwise."""
    steps = np.diff(np.concatenate([angles, angles[:1]]))
    return float(((steps + np.pi) % (2 * np.pi) - np.pi).sum())


def _incidence(faces: IntArray, vertices: int) -> csr_array:
    """Sparse (V, F) matrix: which faces meet at a vertex."""
    columns = np.repeat(np.arange(len(faces)), 3)
    return csr_array((np.ones(faces.size), (faces.ravel(), columns)), shape=(vertices, len(faces)))


def _normals(vertices: Array, faces: IntArray, incidence: csr_array) -> Array:
    """Unit normals (V, 3), faces weighted by their area."""
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    u, v = b - a, c - a
    crossed = np.stack([u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1], u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2],
                        u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]], 1)  # fmt: skip
    total = incidence @ crossed
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))
