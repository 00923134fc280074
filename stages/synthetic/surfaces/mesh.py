"""The surface that is drawn: a hand model's mesh, smoothed, with a forearm and a sleeve grown from its wrist.

The model's own vertices stay exactly where the model puts them; between them the surface is rounded by curved
PN triangles (Vlachos et al., "Curved PN triangles", I3D 2001), sampled once along each edge.
"""

from dataclasses import dataclass

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import HandModel, face_incidence, rims, vertex_normals
from stages.synthetic.motion import WRIST_CUT, Arm, HandState, palm_basis


@dataclass(frozen=True, eq=False)
class Surface:
    """A posed surface."""

    vertices: Array  # (V, 3) m
    normals: Array  # (V, 3) unit, outwards


class HandMesh:
    """One hand's surface: its topology and how to pose it.

    Vertices are those of the model, then of the arm, then one for each edge between them.
    """

    def __init__(self, model: HandModel, betas: Array, rng: np.random.Generator) -> None:
        rest = model.rest_joints_21(betas)
        self._palm = palm_basis(rest)
        shaped = (model.v_template + model.shapedirs @ betas - rest[0]) @ self._palm
        own = model.faces[(shaped[model.faces, 1] > -WRIST_CUT).any(1)]
        rim = np.array(max(rims(own), key=len))  # at the wrist
        self._arm = Arm(shaped[rim], rim, len(shaped), rng)
        self._coarse_faces = np.concatenate([own, self._arm.skin_faces, self._arm.sleeve_faces])
        self.skin_faces = len(own), len(own) + len(self._arm.skin_faces)
        """Coarse faces before the first number are the model's, before the second the forearm's, then the sleeve's."""
        self.coarse_vertices = len(shaped) + len(self._arm.rest)
        a, b, c = self._coarse_faces.T
        edges = np.sort(np.stack([np.concatenate([a, b, c]), np.concatenate([b, c, a])], 1), 1)
        self.edges, which = np.unique(edges, axis=0, return_inverse=True)
        """(E, 2) coarse vertices: vertex `coarse_vertices + e` of the surface lies between those of edge e."""
        ab, bc, ca = which.reshape(3, -1) + self.coarse_vertices
        self.faces = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], 1).reshape(-1, 3)
        """(F, 3), four for each coarse face, wound outwards for a right hand."""
        self.coarse_of_face = np.repeat(np.arange(len(a)), 4)
        self.vertices = self.coarse_vertices + len(self.edges)
        self._coarse_incidence = face_incidence(self._coarse_faces, self.coarse_vertices)
        self._incidence = face_incidence(self.faces, self.vertices)
        self.rest = self._rounded(np.concatenate([shaped, self._arm.rest]), 1.0)
        """At rest, in palm coordinates: towards the thumb's side, the fingers and out of the palm."""
        on_wrist = np.zeros((len(self._arm.rest), 16))
        on_wrist[:, 0] = 1
        weights = np.concatenate([model.weights, on_wrist])
        self.weights = np.concatenate([weights, weights[self.edges].mean(1)])
        """(V, 16) skinning weights; the arm's are the wrist's."""

    def pose(self, hand_vertices: Array, state: HandState) -> Surface:
        """Return the surface, in the camera frame, for the model's posed vertices (V, 3) of this state."""
        coarse = np.concatenate([hand_vertices, self._arm.pose(state, self._palm)])
        return self._rounded(coarse, -1.0 if state.side == "left" else 1.0)

    def _rounded(self, coarse: Array, outwards: float) -> Surface:
        """Add a vertex for each edge, on the PN triangles' cubic curve over it; `outwards` is -1 if wound inwards."""
        normals = vertex_normals(coarse, self._coarse_faces, self._coarse_incidence)
        a, b = self.edges.T
        span = coarse[b] - coarse[a]
        rise_a = np.einsum("ij,ij->i", span, normals[a])[:, None] * normals[a]
        rise_b = np.einsum("ij,ij->i", -span, normals[b])[:, None] * normals[b]
        vertices = np.concatenate([coarse, (coarse[a] + coarse[b]) / 2 - (rise_a + rise_b) / 8])
        return Surface(vertices, outwards * vertex_normals(vertices, self.faces, self._incidence))
