"""Makes blender.png: a frame of an imported recording, as Blender renders it (Cycles). Run by a Python that has bpy.

hamba export out/demo --to npz; make addon
python docs/images/make_blender.py out/hamba_hands.zip out/demo/hands.npz
"""

import sys
from math import radians
from pathlib import Path

import bpy

FRAME = 61


def main(addon: str, npz: str) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_install(filepath=addon, overwrite=True)
    bpy.ops.preferences.addon_enable(module="hamba_hands")
    scene = bpy.context.scene
    scene.render.fps = 30
    bpy.ops.hamba.import_recording(filepath=npz)
    scene.frame_set(FRAME)
    for thing in list(scene.objects):
        if thing.type == "MESH":
            material = thing.data.materials[0]
            material.use_nodes = True
            material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = material.diffuse_color
            for polygon in thing.data.polygons:
                polygon.use_smooth = True
        elif thing.type == "ARMATURE":
            draw_bones(thing)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.lens = 26
    camera.location, camera.rotation_euler = (0.0, -0.05, 0.0), (radians(90), 0, 0)
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3.0, (radians(50), radians(-20), 0)
    for thing in (camera, sun):
        scene.collection.objects.link(thing)
    world = bpy.data.worlds.new("world")
    world.color = (0.25, 0.27, 0.3)
    scene.world, scene.camera = world, camera
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 24, "CPU"
    scene.render.resolution_x, scene.render.resolution_y = 800, 300
    scene.render.filepath = str(Path(__file__).with_name("blender.png"))
    bpy.ops.render.render(write_still=True)


def draw_bones(thing: bpy.types.Object) -> None:
    """Armatures are not rendered: rods stand for bones, beside the mesh."""
    across = -0.17 if thing.name.endswith("left") else 0.17
    for bone in thing.pose.bones:
        head, tail = thing.matrix_world @ bone.head, thing.matrix_world @ bone.tail
        bpy.ops.mesh.primitive_cylinder_add(radius=0.004, depth=(tail - head).length, location=(head + tail) / 2)
        rod = bpy.context.object
        rod.rotation_mode = "QUATERNION"
        rod.rotation_quaternion = (tail - head).to_track_quat("Z", "Y")
        rod.location.x += across


if __name__ == "__main__":
    main(*sys.argv[1:])
