"""Imports hands.npz, which `hamba export --to npz` writes: for each track an armature, and its mesh where it has one.

Meshes move by a point cache (PC2) that is written beside the file, and which Blender reads as it plays.
"""

import struct
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .armature import Poser, from_camera, new_armature
from .skeleton import own_rotations, rest_joints

COLOURS = {"left": (0.07, 0.27, 0.76, 1.0), "right": (0.9, 0.29, 0.06, 1.0)}


def import_recording(path: Path, *, meshes: bool = True) -> list[Any]:
    """Add the recording's hands to the scene and return their armatures. Raises ValueError where it is no such file.

    Frames go by the scene's rate: the recording's first frame is the scene's frame 1.
    """
    if path.suffix.lower() != ".npz":
        raise ValueError("expected hands.npz; of a recording (hands.mcap) make one: hamba export RECORDING --to npz")
    with np.load(path, allow_pickle=False) as data:
        if "tracks" not in data or "joint_names" not in data:
            raise ValueError("expected a file of hamba export --to npz with tracks, found another")
        tracks = [str(name) for name in data["tracks"]]
        made, last = [], 1.0
        start = min(float(data[f"{name}/pts"][0]) for name in tracks)
        rate = bpy.context.scene.render.fps / bpy.context.scene.render.fps_base
        for name in tracks:
            collection = bpy.data.collections.new(f"hand {name}")
            bpy.context.scene.collection.children.link(collection)
            frames = 1 + (np.asarray(data[f"{name}/pts"], float) - start) * rate
            made.append(_import_track(data, name, frames, collection))
            if meshes and data[f"{name}/vertices"].shape[1:2] != (0,):
                _import_mesh(data, name, frames, collection, path)
            last = max(last, float(frames[-1]))
    bpy.context.scene.frame_end = max(bpy.context.scene.frame_end, round(last))
    return made


def _import_track(data: Any, name: str, frames: Any, collection: Any) -> Any:
    side = name.partition("_")[2]
    there = data[f"{name}/valid"]
    rotations = own_rotations(data[f"{name}/global_orient"][there], data[f"{name}/hand_pose"][there], side)
    joints = np.asarray(data[f"{name}/joints"][there], float)
    thing = new_armature(f"hand {name}", rest_joints(rotations, joints), collection)
    poser = Poser(thing)
    for turned, places, frame in zip(rotations, joints, frames[there], strict=True):
        poser.pose(turned, places[0])
        poser.key(frame)
    _key_presence(thing, there, frames)
    return thing


def _key_presence(thing: Any, there: Any, frames: Any) -> None:
    """Hide what is away, from frame to frame."""
    edges = np.flatnonzero(np.diff(there.astype(int), prepend=-1))
    for edge in edges:
        thing.hide_viewport = thing.hide_render = not there[edge]
        thing.keyframe_insert("hide_viewport", frame=frames[edge])
        thing.keyframe_insert("hide_render", frame=frames[edge])
    if frames[0] > 1:
        thing.hide_viewport = thing.hide_render = True
        thing.keyframe_insert("hide_viewport", frame=1)
        thing.keyframe_insert("hide_render", frame=1)


def _import_mesh(data: Any, name: str, frames: Any, collection: Any, path: Path) -> None:
    side = name.partition("_")[2]
    there, vertices = data[f"{name}/valid"], np.asarray(data[f"{name}/vertices"], np.float32)
    whole = np.flatnonzero(there)
    # While it is away it keeps the shape that it had, unseen.
    held = vertices[whole[np.searchsorted(whole, np.arange(len(there)), side="right").clip(1) - 1]]
    mesh = bpy.data.meshes.new(f"mesh {name}")
    mesh.from_pydata(held[0].tolist(), [], data[f"faces_{side}"].tolist())
    mesh.update()
    thing = bpy.data.objects.new(f"mesh {name}", mesh)
    thing.matrix_world = from_camera()
    collection.objects.link(thing)
    material = bpy.data.materials.get(f"hamba {side}") or bpy.data.materials.new(f"hamba {side}")
    material.diffuse_color = COLOURS[side]
    mesh.materials.append(material)
    cache = path.with_name(f"{path.stem}-{name}.pc2")
    even = _at_even_times(held, frames)
    cache.write_bytes(
        struct.pack("<12siiffi", b"POINTCACHE2\0", 1, even.shape[1], 0.0, 1.0, len(even)) + even.astype("<f4").tobytes()
    )
    modifier = thing.modifiers.new("recorded", "MESH_CACHE")
    modifier.cache_format, modifier.filepath, modifier.frame_start = "PC2", str(cache), float(np.floor(frames[0]))
    _key_presence(thing, there, frames)


def _at_even_times(vertices: Any, frames: Any) -> Any:
    """Return vertices at whole frames of the scene, between recorded ones on a straight line."""
    whole = np.arange(np.floor(frames[0]), np.ceil(frames[-1]) + 1)
    after = np.searchsorted(frames, whole).clip(1, max(len(frames) - 1, 1))
    if len(frames) == 1:
        return np.repeat(vertices, len(whole), axis=0)
    share = ((whole - frames[after - 1]) / (frames[after] - frames[after - 1])).clip(0, 1)[:, None, None]
    return (1 - share) * vertices[after - 1] + share * vertices[after]
