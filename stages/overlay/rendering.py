"""Shaded hand meshes over a picture.

A rasteriser in NumPy, over all triangles at once: a hand's mesh is some thousand triangles of a dozen pixels each, for
which it takes a fraction of a ray caster's time. Nearer triangles are drawn over farther ones, so hands that overlap
and fingers that cross hide each other as they should. Only the parts of the picture where hands are are touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array, Int32Array
from hamba_core.hand import vertex_normals
from hamba_core.view import Intrinsics
from stages.common.palette import Colour
from stages.packets import Image

OPACITY: Final = 0.85  # so that the fit can be judged by the hand below

_NEAREST = 0.02  # m; what is nearer than this is not drawn
_MOST_POINTS = 60_000  # of the raster, in all triangles; beyond, a coarser one is drawn and enlarged
_LIGHTS: Final = np.array([[-0.45, -0.75, -0.65], [0.75, 0.05, -0.55]])  # towards them, camera frame
_STRENGTHS: Final = np.array([0.75, 0.25])
_AMBIENT: Final = 0.36
_SHINE: Final = 0.22
_EDGE: Final = 0.45  # how much darker a surface is where it turns away
_STEP: Final = 0.008  # m between neighbours on the raster that belong to different surfaces
_OUTLINE: Final = 0.4  # how much darker it is there

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh in the camera frame."""

    vertices: Float32Array  # (V, 3) m
    faces: Int32Array  # (F, 3), counter-clockwise seen from outside
    colour: Colour


class View(NamedTuple):
    """What a camera sees of meshes, on a raster over the part of the picture that they are in."""

    left: int  # px, of the part
    top: int
    width: int
    height: int
    values: Float32Array  # (K, rows, columns) of the nearest surface; the raster may be coarser than the pixels
    seen: NDArray[np.bool_]  # (rows, columns)


def draw_meshes(image: Image, meshes: Sequence[Mesh], camera: Intrinsics, opacity: float = OPACITY) -> None:
    """Draw meshes, shaded, into a picture (H, W, 3) RGB, in place."""
    for group in _overlapping(meshes, camera):
        starts = np.cumsum([0, *(len(mesh.vertices) for mesh in group)])
        vertices = np.concatenate([mesh.vertices for mesh in group])
        faces = np.concatenate([mesh.faces + start for mesh, start in zip(group, starts, strict=False)])
        nearness = 1 / np.maximum(vertices[:, 2:], _NEAREST)  # which is linear in the picture, as distance is not
        values = np.concatenate([np.concatenate([_shaded(mesh) for mesh in group]), nearness], 1)
        view = view_of(vertices, faces, values, camera, image.shape[1], image.shape[0])
        if view is not None:
            _blend(image, view, opacity)


def view_of(
    vertices: Float32Array, faces: Int32Array, values: Float32Array, camera: Intrinsics, width: int, height: int
) -> View | None:
    """Return what the camera sees of a mesh (V, 3), (F, 3) with values (V, K), in a picture of this size, or None."""
    depth = vertices[:, 2]
    ahead = depth > _NEAREST
    pixels = camera.project(np.where(ahead[:, None], vertices, (0, 0, 1))).astype(np.float32)
    corners = faces.T
    (ax, bx, cx), (ay, by, cy) = pixels[corners, 0], pixels[corners, 1]
    left, right = _least(ax, bx, cx), _most(ax, bx, cx)
    top, bottom = _least(ay, by, cy), _most(ay, by, cy)
    # Pixels go down, so what is counter-clockwise in space, seen from the front, is of negative area here.
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    in_front = ahead[corners[0]] & ahead[corners[1]] & ahead[corners[2]]
    drawn = in_front & (area < -1e-6) & (right > 0) & (bottom > 0) & (left < width) & (top < height)
    if not drawn.any():
        return None
    # Farther triangles first, so that nearer ones are written over them.
    order = np.flatnonzero(drawn)
    order = order[np.argsort(-depth[corners[:, order]].sum(0))]

    x, y = max(0, int(left[order].min()) - 1), max(0, int(top[order].min()) - 1)
    part_width = min(width, int(right[order].max()) + 2) - x
    part_height = min(height, int(bottom[order].max()) + 2) - y
    wide = np.minimum(right[order], x + part_width) - np.maximum(left[order], x)
    high = np.minimum(bottom[order], y + part_height) - np.maximum(top[order], y)
    points = float((wide * high).sum()) / 2
    scale = min(1.0, (_MOST_POINTS / points) ** 0.5)
    columns, rows = max(1, round(part_width * scale)), max(1, round(part_height * scale))
    raster = (pixels - np.array([x, y], np.float32)) * np.array([columns / part_width, rows / part_height], np.float32)

    seen_at, triangle, weights = _rasterised(raster[corners[:, order]], columns, rows)
    seen_corners = corners[:, order[triangle]]
    found = np.zeros((values.shape[1], rows * columns), np.float32)
    for plane, of_vertices in zip(found, np.ascontiguousarray(values.T), strict=True):
        plane[seen_at] = sum(w * of_vertices[corner] for w, corner in zip(weights, seen_corners, strict=True))
    seen = np.zeros(rows * columns, np.bool_)
    seen[seen_at] = True
    return View(x, y, part_width, part_height, found.reshape(-1, rows, columns), seen.reshape(rows, columns))


def _rasterised(triangles: Float32Array, columns: int, rows: int) -> tuple[Indices, Indices, Float32Array]:
    """Return raster points covered by triangles (3, N, 2), the last triangle at each, its corners' weights (3, n)."""
    (ax, bx, cx), (ay, by, cy) = triangles[..., 0], triangles[..., 1]
    # The weights of b and c are linear in x and y: what each gains a point to the right, a point down, and has at 0, 0.
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    b_x, b_y, c_x, c_y = (cy - ay) / area, (ax - cx) / area, (ay - by) / area, (bx - ax) / area
    b_0, c_0 = -(b_x * ax + b_y * ay), -(c_x * ax + c_y * ay)

    # Every row of every triangle, and from where to where the three weights are positive in it.
    first = np.ceil(np.maximum(_least(ay, by, cy), 0) - 0.5).astype(np.intp)
    last = np.ceil(np.minimum(_most(ay, by, cy), rows) - 0.5).astype(np.intp)
    triangle, row = _ranges(first, last)
    y = row + np.float32(0.5)
    start_b, start_c = b_y[triangle] * y + b_0[triangle], c_y[triangle] * y + c_0[triangle]
    gain_b, gain_c = b_x[triangle], c_x[triangle]
    begin, end = np.zeros(len(row), np.float32), np.full(len(row), columns, np.float32)
    for gain, start in ((gain_b, start_b), (gain_c, start_c), (-gain_b - gain_c, 1 - start_b - start_c)):
        _narrow(begin, end, gain, start)

    span, column = _ranges(np.ceil(begin - 0.5).astype(np.intp), np.ceil(end - 0.5).astype(np.intp))
    drawn = np.full(rows * columns, -1, np.intp)
    drawn[row[span] * columns + column] = np.arange(len(span))  # of equal indices, the last assignment stays
    seen_at = np.flatnonzero(drawn >= 0)
    kept = drawn[seen_at]
    span, x = span[kept], column[kept] + np.float32(0.5)
    weight_b, weight_c = start_b[span] + gain_b[span] * x, start_c[span] + gain_c[span] * x
    return seen_at, triangle[span], np.stack([1 - weight_b - weight_c, weight_b, weight_c])


def _least(a: Float32Array, b: Float32Array, c: Float32Array) -> Float32Array:
    return np.minimum(np.minimum(a, b), c)


def _most(a: Float32Array, b: Float32Array, c: Float32Array) -> Float32Array:
    return np.maximum(np.maximum(a, b), c)


def _ranges(first: Indices, end: Indices) -> tuple[Indices, Indices]:
    """Return every number from first to before end, range after range: which range it is of, and the number."""
    counts = np.maximum(end - first, 0)
    ends = np.cumsum(counts)
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) + (first - ends + counts)[which]


def _narrow(begin: Float32Array, end: Float32Array, gain: Float32Array, start: Float32Array) -> None:
    """Take from the spans [begin, end) where start + gain x is negative, in place."""
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = -start / gain
    np.maximum(begin, zero, out=begin, where=gain > 0)
    np.minimum(end, zero, out=end, where=gain < 0)
    end[(gain == 0) & (start < 0)] = -1


def _shaded(mesh: Mesh) -> Float32Array:
    """Return colours of the vertices (V, 3), 0..255. Two soft lights go with the camera; outlines are darker."""
    normals = vertex_normals(mesh.vertices, mesh.faces).astype(np.float32)
    to_camera = -mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    lights = _LIGHTS / np.linalg.norm(_LIGHTS, axis=1, keepdims=True)
    # Half Lambert: light reaches round a surface, squared so that it still has a dark side.
    diffuse = (normals @ lights.T * 0.5 + 0.5) ** 2 @ _STRENGTHS
    facing = np.clip((normals * to_camera).sum(1), 0, 1)
    halfway = lights[0] + to_camera
    halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
    shine = np.clip((normals * halfway).sum(1), 0, 1) ** 24
    light = (_AMBIENT + diffuse) * (1 - _EDGE * (1 - facing) ** 2)
    rgb = np.outer(light, mesh.colour) + (255 * _SHINE * shine)[:, None]
    return np.asarray(rgb.clip(0, 255), np.float32)


def _blend(image: Image, view: View, opacity: float) -> None:
    colours = cv2.merge(list((view.values[:3] * _outlined(view)).astype(np.uint8)))
    weights = view.seen.astype(np.float32)
    # The raster's steps are smoothed: weights fall off over the outline, and colours go on below them.
    beyond = cv2.dilate(colours, np.ones((3, 3), np.uint8))
    colours = np.where(view.seen[..., None], colours, beyond)
    weights = cv2.GaussianBlur(weights, (3, 3), 0.8) * np.float32(opacity)
    size = (view.width, view.height)
    if weights.shape[::-1] != size:
        weights, colours = _resized(weights, size), _resized(colours, size)
    part = image[view.top : view.top + view.height, view.left : view.left + view.width]
    part[:] = cv2.blendLinear(colours, np.ascontiguousarray(part), weights, 1 - weights)


def _outlined(view: View) -> Float32Array:
    """Return light (rows, columns) that fades where a surface passes behind another: fingers stand out on a palm."""
    distance = 1 / np.where(view.seen, view.values[3], 1)
    lit = np.ones_like(distance)
    for axis in (0, 1):
        near, far = (np.s_[:-1, :], np.s_[1:, :]) if axis == 0 else (np.s_[:, :-1], np.s_[:, 1:])
        step = np.abs(np.diff(distance, axis=axis)) > _STEP
        step &= view.seen[near] & view.seen[far]
        lit[near][step] = lit[far][step] = 1 - _OUTLINE
    return np.asarray(cv2.GaussianBlur(lit, (3, 3), 0.7), np.float32)


def _resized(array: NDArray[Any], size: tuple[int, int]) -> Any:
    return cv2.resize(array, size, interpolation=cv2.INTER_LINEAR)


def _overlapping(meshes: Sequence[Mesh], camera: Intrinsics) -> list[list[Mesh]]:
    """Return meshes in groups whose boxes in the picture do not touch, so that what lies between is left alone."""
    groups: list[tuple[NDArray[Any], list[Mesh]]] = []
    for mesh in meshes:
        ahead = mesh.vertices[mesh.vertices[:, 2] > _NEAREST]
        if not len(ahead):
            continue
        pixels = camera.project(ahead)
        box = np.concatenate([pixels.min(0) - 4, -pixels.max(0) - 4])
        together = [mesh]
        apart = []
        for other, others in groups:
            if (np.maximum(box, other)[:2] <= -np.maximum(box, other)[2:]).all():
                box, together = np.minimum(box, other), together + others
            else:
                apart.append((other, others))
        groups = [*apart, (box, together)]
    return [group for _, group in groups]
