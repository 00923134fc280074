"""Hands in Blender: an add-on that imports recordings and follows hands live, each hand an armature.

It is zipped by `make addon` and needs nothing that Blender lacks: NumPy is in it. Nothing of hamba-stream is imported
here. https://docs.blender.org/api/current/
"""

import bpy

from .operators import CLASSES

bl_info = {
    "name": "Hamba hands",
    "author": "hamba-stream",
    "version": (0, 1, 0),
    "blender": (4, 2, 0),
    "location": "3D view > sidebar > Hamba",
    "description": "Imports recorded hands, and follows published ones",
    "category": "Animation",
}
"""What Blender shows of add-ons that are no extensions."""


def register() -> None:
    """Let Blender know of the operators and the panel."""
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Take them away again."""
    from .live import stop

    stop()
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
