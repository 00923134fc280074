"""Run by a Python that has bpy: installs the add-on's zip as a person does, uses it, and prints JSON of what is there.

python in_blender.py ZIP NPZ FRAME[,FRAME...]       # imports, and says where bones and meshes are
python in_blender.py ZIP live                       # follows; prints its port, then a line for each frame
"""

import json
import sys
import time
from importlib import import_module
from typing import Any

import bpy


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def install(path: str) -> None:
    bpy.ops.preferences.addon_install(filepath=path, overwrite=True)
    bpy.ops.preferences.addon_enable(module="hamba_hands")


def bones_of(thing: Any) -> dict[str, Any]:
    evaluated = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
    world = evaluated.matrix_world
    bones = {bone.name: [list(world @ bone.head), list(world @ bone.tail)] for bone in evaluated.pose.bones}
    return {"bones": bones, "hidden": bool(thing.hide_viewport)}


def vertices_of(thing: Any) -> list[list[float]]:
    mesh = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    return [list(thing.matrix_world @ vertex.co) for vertex in mesh.vertices]


def armatures() -> dict[str, Any]:
    return {thing.name: bones_of(thing) for thing in bpy.context.scene.objects if thing.type == "ARMATURE"}


def imported(npz: str, frames: list[int]) -> dict[str, Any]:
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = 30, 1.0
    result = bpy.ops.hamba.import_recording(filepath=npz)
    found: dict[str, Any] = {"result": list(result), "end": scene.frame_end, "frames": {}}
    for frame in frames:
        scene.frame_set(frame)
        meshes = {thing.name: vertices_of(thing) for thing in scene.objects if thing.type == "MESH"}
        found["frames"][frame] = {"armatures": armatures(), "meshes": meshes}
    return found


def followed() -> None:
    following = import_module("hamba_hands.live").Following(0)
    say(json.dumps({"port": following.port}))
    deadline, before = time.monotonic() + 60, 0
    while time.monotonic() < deadline:
        following.step()
        if following.frames > before:
            before = following.frames
            bpy.context.view_layer.update()
            say(json.dumps(armatures()))
        time.sleep(0.01)


if __name__ == "__main__":
    bpy.ops.wm.read_factory_settings(use_empty=True)
    install(sys.argv[1])
    if sys.argv[2] == "live":
        followed()
    else:
        say("JSON " + json.dumps(imported(sys.argv[2], [int(number) for number in sys.argv[3].split(",")])))
