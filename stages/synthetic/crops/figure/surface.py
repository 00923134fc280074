"""The skin that is drawn: the hand model's mesh with a bare forearm grown from its rim, rounded.

The model's own vertices stay where the model puts them. Between them the surface follows the cubic curve of curved PN
triangles (Vlachos et al., "Curved PN triangles", I3D 2001), sampled once along each edge.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hamba_core.hand import HandModel
from stages.synthetic.crops.figure.forearm import RINGS, Forearm, skin_rings
from stages.synthetic.crops.meshing import incidence, longest_border, tube_faces, vertex_normals
from stages.synthetic.motion import palm_basis

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

RIM = 0.004
"""Metres behind the wrist joint up to which the model's own faces are kept."""


class HandSurface:
    """One hand model's topology: the model's vertices, then the forearm's, then one for each edge between them."""

    def __init__(self, model: HandModel) -> None:
        self._model = model
        joints = model.rest_joints_21(np.zeros(10))
        shaped = (model.v_template - joints[0]) @ palm_basis(joints)
        own = model.faces[(shaped[model.faces, 1] > -RIM).any(1)]
        self._rim = longest_border(own)
        first, around = len(shaped), len(self._rim)
        self.coarse = first + len(RINGS) * around
        """How many vertices there are before the edges' own."""
        rings = [self._rim, *np.arange(first, self.coarse).reshape(-1, around)]
        coarse_faces = np.concatenate([own, *(tube_faces(a, b) for a, b in pairwise(rings))])
        a, b, c = coarse_faces.T
        edges = np.sort(np.stack([np.concatenate([a, b, c]), np.concatenate([b, c, a])], 1), 1)
        self.edges, which = np.unique(edges, axis=0, return_inverse=True)
        """(E, 2) the vertices that an edge lies between."""
        ab, bc, ca = which.reshape(3, -1) + self.coarse
        self.faces = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], 1).reshape(-1, 3)
        """(F, 3), wound outwards for a right hand."""
        self.coarse_faces = coarse_faces
        """(F / 4, 3) the same surface through the first vertices alone."""
        self._at_coarse = incidence(coarse_faces, self.coarse)
        self.incidence = incidence(self.faces, self.coarse + len(self.edges))
        """Which faces meet at a vertex."""
        on_wrist = np.zeros((len(RINGS) * around, 16))
        on_wrist[:, 0] = 1
        coarse_weights = np.concatenate([model.weights, on_wrist])
        self.weights = np.concatenate([coarse_weights, coarse_weights[self.edges].mean(1)])
        """(V, 16) skinning weights; the forearm's are the wrist's."""
        self.bone_of_face = self.weights[self.faces].sum(1).argmax(1)
        """(F,) the model joint that a face follows most."""
        self.rest_normals = vertex_normals(self.rest(np.zeros(10))[0], self.faces, self.incidence)
        """(V, 3) unit, palm coordinates, of the middling hand at rest."""

    def rest(self, betas: Array) -> tuple[Array, Array]:
        """Return the resting surface (V, 3) and its rim (R, 3) at the wrist, palm coordinates, for betas (10,)."""
        joints = self._model.rest_joints_21(betas)
        shaped = (self._model.v_template + self._model.shapedirs @ betas - joints[0]) @ palm_basis(joints)
        rim = shaped[self._rim]
        coarse = np.concatenate([shaped, skin_rings(rim).reshape(-1, 3)])
        return np.concatenate([coarse, (coarse[self.edges[:, 0]] + coarse[self.edges[:, 1]]) / 2]), rim

    def pose(self, hand_vertices: Array, forearm: Forearm, rest: Array) -> tuple[Array, Array]:
        """Return vertices and normals (V, 3), camera frame, from the model's posed vertices and `rest`'s surface."""
        arm = forearm.place(rest[len(hand_vertices) : self.coarse])
        coarse = np.concatenate([hand_vertices, arm])
        normals = vertex_normals(coarse, self.coarse_faces, self._at_coarse)
        a, b = self.edges.T
        span, at_a, at_b = coarse[b] - coarse[a], normals[a], normals[b]
        along_a, along_b = np.einsum("ij,ij->i", span, at_a), np.einsum("ij,ij->i", span, at_b)
        rise = (along_a[:, None] * at_a - along_b[:, None] * at_b) / 8
        vertices = np.concatenate([coarse, (coarse[a] + coarse[b]) / 2 - rise])
        return vertices, vertex_normals(vertices, self.faces, self.incidence)
