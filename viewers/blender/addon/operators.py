"""What Blender offers: File > Import-like operators and a panel in the sidebar."""

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from . import live
from .recorded import import_recording


class HAMBA_OT_import(bpy.types.Operator):  # type: ignore[misc]  # noqa: N801  # Blender wants names such as this
    """Import hands.npz, which hamba export --to npz writes."""

    bl_idname = "hamba.import_recording"
    bl_label = "Import recorded hands (.npz)"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    filepath: StringProperty(subtype="FILE_PATH")  # type: ignore[valid-type]
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})  # type: ignore[valid-type]
    meshes: BoolProperty(name="Meshes", default=True)  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[str]:
        """Import, or say what is wrong."""
        try:
            made = import_recording(Path(self.filepath), meshes=self.meshes)
        except (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile, zlib.error) as error:
            self.report({"ERROR"}, f"{Path(self.filepath).name}: {error}")
            return {"CANCELLED"}
        self.report({"INFO"}, f"{len(made)} hands")
        return {"FINISHED"}

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask for the file."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class HAMBA_OT_live(bpy.types.Operator):  # type: ignore[misc]  # noqa: N801
    """Follow hands that hamba osc sends here, or stop."""

    bl_idname = "hamba.live"
    bl_label = "Follow live hands"

    port: IntProperty(name="Port", default=live.PORT, min=1, max=65535)  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[str]:
        """Start, or stop."""
        if live.is_on():
            live.stop()
            return {"FINISHED"}
        try:
            live.start(self.port)
        except OSError as error:
            self.report({"ERROR"}, f"port {self.port}: {error}; another program listens there")
            return {"CANCELLED"}
        return {"FINISHED"}


class HAMBA_PT_panel(bpy.types.Panel):  # type: ignore[misc]  # noqa: N801
    """The panel in the sidebar."""

    bl_label = "Hamba"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Hamba"

    def draw(self, context: Any) -> None:
        """Show both buttons."""
        self.layout.operator(HAMBA_OT_import.bl_idname, icon="IMPORT")
        words = "Stop following" if live.is_on() else "Follow live hands"
        self.layout.operator(HAMBA_OT_live.bl_idname, text=words, icon="VIEW_PAN")


CLASSES = (HAMBA_OT_import, HAMBA_OT_live, HAMBA_PT_panel)
