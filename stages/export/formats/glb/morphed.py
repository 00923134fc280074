"""A hand in a GLB file as the recorded meshes: a morph target for each frame, exact at each and blended between them.

Every target has a weight at every key, so the weights would grow with the square of the frames. A track is therefore
cut into stretches of some seconds: each is a mesh with targets for its own frames, and is shown in its own time alone.
"""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.hand import vertex_normals
from stages.export.formats.glb.gltf_file import INDICES, VERTEX_DATA, Animation, GltfFile
from stages.export.rig import R_FILE_CAMERA, Rig, spans_of
from stages.export.tracks import Selection, Track

_STRETCH: Final = 60
"""Targets that a mesh may have. Graphics cards take at least 256."""

BYTES_A_VERTEX: Final = 24
"""Bytes that a vertex takes in a frame: its place and its normal."""


def add_morphed_hand(
    file: GltfFile,
    animation: Animation,
    track: Track,
    rig: Rig,
    selection: Selection,
    faces: NDArray[np.integer],
    name: str,
    material: int,
    on_rows: Callable[[int], None],
) -> list[int]:
    """Add the nodes that show this track, and return them. `on_rows` is told how many rows were written."""
    indices = file.array(faces.astype(np.uint32).ravel(), INDICES)
    weights: dict[int, int] = {}
    nodes: list[int] = []
    for (start, stop), (_, gone) in zip(rig.runs, spans_of(rig, selection), strict=True):
        for first, last in _stretches(start, stop - 1):
            rows = track.read(first, last + 1)
            seconds = rig.pts[first : last + 1] - selection.start
            attributes, targets = _add_shapes(file, track.read_vertices(first, last + 1), faces)
            mesh = file.add(
                "meshes",
                name=name,
                primitives=[{"attributes": attributes, "targets": targets, "indices": indices, "material": material}],
                extras={"targetNames": [f"frame {frame}" for frame in rows["frame"][1:].tolist()]},
            )
            # Where nothing plays the animation, the first stretch is all there is to see.
            node = file.add("nodes", name=f"{name} {len(nodes) + 1}", mesh=mesh, scale=[0, 0, 0] if nodes else None)
            if targets:
                if len(targets) not in weights:
                    weights[len(targets)] = file.array(np.eye(len(rows), len(targets), -1, np.float32).ravel())
                times = file.array(seconds.astype(np.float32), bounds=True)
                animation.move(node, "weights", times, weights[len(targets)])
            animation.show(node, [(seconds[0], gone if last == stop - 1 else seconds[-1])])
            nodes.append(node)
            on_rows(last - first)
    return [file.add("nodes", name=name, children=nodes)]


def _stretches(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Return first and last row of each; the last is the first of the next, so that there is no seam between them."""
    for start in range(first, max(last, first + 1), _STRETCH):
        yield start, min(start + _STRETCH, last)


def _add_shapes(
    file: GltfFile, vertices: NDArray[np.float32], faces: NDArray[np.integer]
) -> tuple[dict[str, int], list[dict[str, int]]]:
    """Add the first of these meshes (N, V, 3), camera frame, as attributes, the others as targets relative to it."""
    attributes: dict[str, int] = {}
    targets: list[dict[str, int]] = [{} for _ in vertices[1:]]
    places = vertices @ R_FILE_CAMERA
    for kind, shapes in (("POSITION", places), ("NORMAL", vertex_normals(places, faces))):
        single = shapes.astype(np.float32)
        attributes[kind] = file.array(single[0], VERTEX_DATA, bounds=kind == "POSITION")
        if targets:
            changes = file.arrays(single[1:] - single[0], VERTEX_DATA, bounds=kind == "POSITION")
            for target, change in zip(targets, changes, strict=True):
                target[kind] = change
    return attributes, targets
