"""The shapes in the window, in Open3D's form: a hand, lines, the camera's picture."""

from typing import Any

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from hamba_core.arrays import Array, Int64Array
from hamba_core.hand import close_holes
from stages.common.palette import Colour
from stages.packets import FrameMeta, Hand, HandTopology, Image
from viewers.scene import BONE_FACES, JOINT_COLOR_ROWS, PICTURE_DEPTH, Look, bone_tubes, picture_corners


class HandShapes:
    """The mesh, bones and joints of one track. `parts` are those that the look shows."""

    def __init__(self) -> None:
        self._mesh = o3d.geometry.TriangleMesh()
        self._edges = o3d.geometry.LineSet()
        self._bones = o3d.geometry.TriangleMesh()
        self._joints = o3d.geometry.PointCloud()
        self._fits: tuple[object, ...] = ()  # what faces and colours were last set for
        self._has_mesh = False

    def update(self, hand: Hand, model: HandTopology | None, color: Colour, look: Look) -> None:
        """Give the parts of this look the hand's shape."""
        if model is None or len(hand.vertices) != model.vertices:
            model = None
        self._has_mesh = model is not None
        fits = (hand.side, model, color)
        if fits != self._fits:
            self._fits = fits
            self._set_up(hand, model, np.array(color) / 255)
        if look == "skeleton" or model is None:
            self._joints.points = points(hand.joints)
            self._bones.vertices = points(bone_tubes(hand.joints))
            self._bones.compute_vertex_normals()
        elif look == "wireframe":
            self._edges.points = points(hand.vertices)
        else:
            self._mesh.vertices = points(hand.vertices)
            self._mesh.compute_vertex_normals()

    def _set_up(self, hand: Hand, model: HandTopology | None, color: Array) -> None:
        """Set what stays from frame to frame: which points are joined, and the colours."""
        self._joints.points = points(hand.joints)
        self._joints.colors = points(JOINT_COLOR_ROWS)
        self._bones.vertices = points(bone_tubes(hand.joints))
        self._bones.triangles = _triples(BONE_FACES)
        self._bones.paint_uniform_color(color)
        if model is not None:
            faces = model.faces_of(hand.side)
            self._mesh.vertices = self._edges.points = points(hand.vertices)
            self._mesh.triangles = _triples(close_holes(faces))
            self._mesh.paint_uniform_color(color)
            self._edges.lines = _pairs(_edges_of(faces))
            self._edges.paint_uniform_color(color)

    def parts(self, look: Look) -> tuple[Any, ...]:
        """Return the geometries to show. A hand that came without vertices is shown as a skeleton in every look."""
        if look == "skeleton" or not self._has_mesh:
            return self._bones, self._joints
        return (self._edges,) if look == "wireframe" else (self._mesh,)


class HungPicture:
    """The camera's picture, hung behind the hands so that it fills the view through the camera."""

    def __init__(self, frame: FrameMeta) -> None:
        corners = picture_corners(frame.camera, frame.width, frame.height, PICTURE_DEPTH)
        # Without normals it is not lit, so that it looks as the camera saw it.
        self.mesh = o3d.geometry.TriangleMesh(points(corners), _triples(np.array([[0, 2, 1], [0, 3, 2]])))
        uvs = np.array([[0, 0], [1, 1], [1, 0], [0, 0], [0, 1], [1, 1]], np.float64)
        self.mesh.triangle_uvs = o3d.utility.Vector2dVector(uvs)
        self.mesh.triangle_material_ids = o3d.utility.IntVector([0, 0])

    def show(self, image: Image) -> None:
        """Take this picture, (H, W, 3) RGB."""
        self.mesh.textures = [o3d.geometry.Image(image)]  # type: ignore[call-overload]  # its stubs know no arrays


def points(array: NDArray[np.floating]) -> Any:
    """Return points (N, 3) in the form that Open3D takes."""
    return o3d.utility.Vector3dVector(np.array(array, np.float64))


def lines(ends: Array, pairs: Int64Array, color: Colour) -> Any:
    """Return lines of one colour."""
    shape = o3d.geometry.LineSet(points(ends), _pairs(pairs))
    shape.paint_uniform_color(np.array(color) / 255)
    return shape


def _pairs(pairs: NDArray[np.integer]) -> Any:
    return o3d.utility.Vector2iVector(np.array(pairs, np.int32))


def _triples(faces: NDArray[np.integer]) -> Any:
    return o3d.utility.Vector3iVector(np.array(faces, np.int32))


def _edges_of(faces: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the edges (E, 2) of faces, each once."""
    sides = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    edges: NDArray[np.integer] = np.unique(np.sort(sides, 1), axis=0)
    return edges
