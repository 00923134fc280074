"""Armatures of hands: made from the flat open hand, posed by rotations."""

from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector

from .skeleton import BONES, JOINTS, PARENTS, R_BLENDER_CAMERA, bone_end


def new_armature(name: str, rest: Any, collection: Any) -> Any:
    """Return a new object with an armature of the hand whose joints at rest are (21, 3) m, wrist at the origin.

    The object turns the camera's frame to Blender's; all inside it is in the camera's.
    """
    data = bpy.data.armatures.new(name)
    thing = bpy.data.objects.new(name, data)
    thing.matrix_world = from_camera()
    collection.objects.link(thing)
    bpy.context.view_layer.objects.active = thing
    bpy.ops.object.mode_set(mode="EDIT")
    for joint in BONES:
        bone = data.edit_bones.new(JOINTS[joint])
        bone.head, bone.tail = Vector(rest[joint]), Vector(rest[bone_end(joint)])
        if PARENTS[joint] >= 0:
            bone.parent = data.edit_bones[JOINTS[PARENTS[joint]]]
            bone.use_connect = PARENTS[joint] != 0
    bpy.ops.object.mode_set(mode="OBJECT")
    data.display_type = "STICK"
    for joint in BONES:
        thing.pose.bones[JOINTS[joint]].rotation_mode = "QUATERNION"
    return thing


def from_camera() -> Any:
    """Return the matrix of an object that is in the camera's frame."""
    return Matrix([*((*row, 0.0) for row in R_BLENDER_CAMERA.tolist()), (0.0, 0.0, 0.0, 1.0)])


class Poser:
    """Poses an armature of `new_armature`."""

    def __init__(self, thing: Any) -> None:
        self.bones = [(joint, thing.pose.bones[JOINTS[joint]]) for joint in BONES]
        # Of a bone's own axes at rest, in those of the armature.
        self._rest = [np.array(bone.bone.matrix_local.to_3x3()) for _, bone in self.bones]
        self._before: list[Quaternion | None] = [None] * len(self.bones)

    def pose(self, rotations: Any, wrist: Any) -> None:
        """Turn bones by (21, 3, 3), each against its parent, and put the wrist at (3,) m."""
        for place, ((joint, bone), rest) in enumerate(zip(self.bones, self._rest, strict=True)):
            turned = Matrix((rest.T @ rotations[joint] @ rest).tolist()).to_quaternion()
            before = self._before[place]
            if before is not None and before.dot(turned) < 0:
                turned.negate()  # the shorter way from key to key
            self._before[place] = turned
            bone.rotation_quaternion = turned
            if joint == 0:
                bone.location = Vector(rest.T @ wrist)

    def key(self, frame: float) -> None:
        """Set keys of the pose that it has, at this frame."""
        for joint, bone in self.bones:
            bone.keyframe_insert("rotation_quaternion", frame=frame)
            if joint == 0:
                bone.keyframe_insert("location", frame=frame)
