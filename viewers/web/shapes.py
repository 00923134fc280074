"""The shapes on the page: a hand, in viser's form."""

from typing import TYPE_CHECKING

import numpy as np

from hamba_core.hand import close_holes
from stages.common.palette import Colour
from stages.packets import Hand, HandTopology
from viewers.scene import BONE_FACES, JOINT_COLOR_ROWS, Look, bone_tubes

if TYPE_CHECKING:
    import viser


class HandShapes:
    """What the page has of one track: mesh, bones and joints, of which the look shows some."""

    def __init__(self, server: "viser.ViserServer", hand: Hand, model: HandTopology | None, color: Colour) -> None:
        if model is None or len(hand.vertices) != model.vertices:
            model = None
        self._fits = (hand.side, len(hand.vertices), color)
        name, scene = f"/hands/{hand.track_id}", server.scene
        self._mesh = None
        if model is not None:
            faces = close_holes(model.faces_of(hand.side))
            self._mesh = scene.add_mesh_simple(f"{name}/mesh", hand.vertices, faces, color=color)
        self._bones = scene.add_mesh_simple(f"{name}/bones", bone_tubes(hand.joints), BONE_FACES, color=color)
        self._joints = scene.add_point_cloud(
            f"{name}/joints", hand.joints, JOINT_COLOR_ROWS,
            point_size=0.007, point_shape="circle", precision="float32",
        )  # fmt: skip

    def fits(self, hand: Hand, color: Colour) -> bool:
        """Return whether `update` can take this hand."""
        return self._fits == (hand.side, len(hand.vertices), color)

    def update(self, hand: Hand, look: Look) -> None:
        """Take the hand's shape. A hand that came without vertices is a skeleton in every look."""
        skeleton = look == "skeleton" or self._mesh is None
        self._bones.visible = self._joints.visible = skeleton
        if skeleton:
            self._bones.vertices = np.asarray(bone_tubes(hand.joints), np.float32)
            self._joints.points = hand.joints
        if self._mesh is not None:
            self._mesh.visible = not skeleton
            self._mesh.wireframe = look == "wireframe"
            if not skeleton:
                self._mesh.vertices = hand.vertices

    def remove(self) -> None:
        """Take the hand from the page."""
        for shape in (self._mesh, self._bones, self._joints):
            if shape is not None:
                shape.remove()
