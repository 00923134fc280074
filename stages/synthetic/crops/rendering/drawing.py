"""Draws surfaces into a part of a camera's picture: one ray a pixel and its shading.

Colours are linear light. Layers are premultiplied: (height, width, 4) with the share covered last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.view import Intrinsics
from stages.synthetic.crops.meshing import unit
from stages.synthetic.crops.noise import FloatArray
from stages.synthetic.crops.rendering.lights import Lights, lamp_share, room_light
from stages.synthetic.surfaces import Hits, RayScene

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Owner = Literal["hand", "worn", "other", "thing"]
"""Whose surface it is: the hand's that the crop is of, what it wears, another hand's, or a thing's."""

COARSE = 4
"""Cells between the rays that look where anything is."""
NEAREST = 0.03
"""Metres from the camera below which nothing is drawn."""
SUBCELLS = np.array([(-0.375, -0.125, 0), (0.125, -0.375, 0), (0.375, 0.125, 0), (-0.125, 0.375, 0)], np.float32)
"""Where the cells of outlines are sampled, from their middles: a rotated grid."""
AWAY = 0.35
"""Cosine between a vertex's normal and the line of sight beyond which no face around it is seen."""
WRAP = np.array([0.22, 0.10, 0.07], np.float32)
"""How far light of each colour gets around a curve of skin."""


@dataclass(frozen=True, eq=False)
class Spot:
    """Places on one part's surface, to be painted."""

    faces: IntArray  # (N,)
    local: FloatArray  # (N, 3) the part's own coordinates there
    weights: FloatArray  # (N, 3) barycentric


Painter = Callable[[Spot], tuple[FloatArray, FloatArray]]
"""Gives linear colours (N, 3) and gloss (N,)."""


@dataclass(frozen=True, eq=False)
class Part:
    """A surface in the camera frame."""

    vertices: Array  # (V, 3) m
    normals: Array  # (V, 3) unit, outwards
    faces: IntArray  # (F, 3)
    local: FloatArray  # (V, 3) fixed to the surface
    owner: Owner
    skin: bool
    paint: Painter
    coarse: "Coarse | None" = None
    """A simpler surface through some of its vertices, for light and shadow."""


@dataclass(frozen=True, eq=False)
class Coarse:
    """A surface of a part's first vertices; each other vertex lies between two of them."""

    vertices: int
    faces: IntArray  # (F, 3)
    edges: IntArray  # (E, 2)


def solid_scene(parts: Sequence[Part]) -> RayScene:
    """Return the parts for rays of light and sight; simpler surfaces do where there are such."""
    return RayScene(
        [
            (part.vertices, part.faces)
            if part.coarse is None
            else (part.vertices[: part.coarse.vertices], part.coarse.faces)
            for part in parts
        ]
    )


@dataclass(frozen=True, eq=False)
class Canvas:
    """The part of a picture that is drawn: `width` x `height` cells of `1 / scale` pixels from `left`, `top`."""

    left: int
    top: int
    width: int
    height: int
    scale: int

    def rays(self, camera: Intrinsics, rows: IntArray, columns: IntArray) -> FloatArray:
        """Return directions (N, 3) with z = 1 through the middles of cells (N,)."""
        rays = np.ones((len(rows), 3), np.float32)
        rays[:, 0] = ((columns + 0.5) / self.scale + self.left - camera.cx) / camera.fx
        rays[:, 1] = ((rows + 0.5) / self.scale + self.top - camera.cy) / camera.fy
        return rays


@dataclass(frozen=True, eq=False)
class Drawing:
    """What was drawn."""

    layer: FloatArray  # (height, width, 4)
    of_hand: NDArray[np.bool_]  # (height, width) cells where the hand itself or what it wears is seen


def draw(
    parts: Sequence[Part], scene: RayScene, lights: Lights, camera: Intrinsics, canvas: Canvas,
    wanted: NDArray[np.bool_], rng: np.random.Generator,
) -> Drawing:  # fmt: skip
    """Draw parts, whose `solid_scene` this is, in the cells (height, width) that are wanted."""
    shape = canvas.height, canvas.width
    cells = np.flatnonzero(wanted & _likely(parts, scene, camera, canvas))
    rays = canvas.rays(camera, *np.divmod(cells, canvas.width))
    seen = [_faces_towards_camera(part) for part in parts]
    fine = RayScene([(part.vertices, part.faces[faces]) for part, faces in zip(parts, seen, strict=True)])
    hits = fine.cast(rays)
    met = np.flatnonzero((hits.mesh >= 0) & (hits.distance > NEAREST))
    cells, mesh, face = cells[met], hits.mesh[met], hits.face[met]
    firsts = np.cumsum([0, *(len(faces) for faces in seen[:-1])])
    hits = Hits(mesh, np.concatenate(seen)[firsts[mesh] + face], hits.uv[met], hits.distance[met])
    flat = np.zeros((shape[0] * shape[1], 4), np.float32)
    flat[cells, :3], flat[cells, 3] = _shaded(parts, scene, lights, hits, rays[met], cells, shape, rng), 1
    of_hand = np.zeros(shape[0] * shape[1], bool)
    of_hand[cells] = np.array([part.owner in ("hand", "worn") for part in parts])[hits.mesh]
    layer = flat.reshape(*shape, 4)
    _smooth_outline(layer, fine, camera, canvas, wanted)
    return Drawing(layer, of_hand.reshape(shape))


def _smooth_outline(
    layer: FloatArray, scene: RayScene, camera: Intrinsics, canvas: Canvas, wanted: NDArray[np.bool_]
) -> None:
    """Give cells at the outline the share that four rays through them meet, in place."""
    met = (layer[..., 3] > 0).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    at_edge = (np.asarray(cv2.dilate(met, square)) != np.asarray(cv2.erode(met, square))) & wanted
    rows, columns = np.nonzero(at_edge)
    if not len(rows):
        return
    directions = canvas.rays(camera, rows, columns)[:, None] + SUBCELLS / np.float32(canvas.scale * camera.fx)
    free = scene.free(np.zeros((len(rows), 3), np.float32), directions)
    share = 1 - np.einsum("nk->n", free.astype(np.float32)) / len(SUBCELLS)
    near = np.asarray(cv2.blur(layer, (3, 3)))[rows, columns]
    colour = np.where(layer[rows, columns, 3:] > 0, layer[rows, columns, :3], near[:, :3] / near[:, 3:].clip(1e-6))
    layer[rows, columns, :3], layer[rows, columns, 3] = colour * share[:, None], share


def _faces_towards_camera(part: Part) -> IntArray:
    """Return numbers of the faces that may be seen; half of a closed smooth surface's."""
    if part.coarse is None:
        return np.arange(len(part.faces))
    seen = np.einsum("ij,ij->i", part.normals, unit(part.vertices)) < AWAY
    a, b, c = part.faces.T
    return np.flatnonzero(seen[a] | seen[b] | seen[c])


def _likely(parts: Sequence[Part], scene: RayScene, camera: Intrinsics, canvas: Canvas) -> NDArray[np.bool_]:
    """Return cells (height, width) near which something is: a ray for every few cells, and every vertex, tell."""
    rows, columns = -(-canvas.height // COARSE), -(-canvas.width // COARSE)
    y, x = (grid.ravel() * COARSE + COARSE // 2 for grid in np.indices((rows, columns)))
    near = (scene.cast(canvas.rays(camera, y, x)).mesh >= 0).astype(np.uint8).reshape(rows, columns)
    points = np.concatenate([part.vertices for part in parts])
    pixels = camera.project(points[points[:, 2] > NEAREST])
    x, y = np.floor((pixels - (canvas.left, canvas.top)) * (canvas.scale / COARSE)).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
    near[y[inside], x[inside]] = 1
    near = np.asarray(cv2.dilate(near, np.ones((3, 3), np.uint8)))
    large = near.repeat(COARSE, 0).repeat(COARSE, 1)[: canvas.height, : canvas.width]
    return np.asarray(large > 0)


def _shaded(
    parts: Sequence[Part], scene: RayScene, lights: Lights, hits: Hits, rays: FloatArray, cells: IntArray,
    shape: tuple[int, int], rng: np.random.Generator,
) -> FloatArray:  # fmt: skip
    """Linear colours (M, 3) of what rays (M, 3) met, each of one of the cells (M,) of a canvas of this shape."""
    count = len(cells)
    normals, room, colour = (np.zeros((count, 3), np.float32) for _ in range(3))
    gloss, is_skin = np.zeros(count, np.float32), np.zeros(count, bool)
    for number, part in enumerate(parts):
        here = np.flatnonzero(hits.mesh == number)
        if not len(here):
            continue
        faces, uv = hits.face[here], hits.uv[here]
        weights = np.stack([1 - uv[:, 0] - uv[:, 1], uv[:, 0], uv[:, 1]], 1)
        corners = part.faces[faces]
        # Values at corners, gathered once: normal, the room's light, own coordinates.
        light = _gathered(part, scene, lights, rng)
        at = np.concatenate([part.normals.astype(np.float32), light, part.local], 1)
        mixed = at[corners[:, 0]] * weights[:, :1] + at[corners[:, 1]] * weights[:, 1:2]
        mixed += at[corners[:, 2]] * weights[:, 2:]
        normals[here], room[here] = mixed[:, :3], mixed[:, 3:6]
        colour[here], gloss[here] = part.paint(Spot(faces, mixed[:, 6:], weights))
        is_skin[here] = part.skin
    points = rays * hits.distance[:, None]
    view, normals = unit(-rays), unit(normals)
    facing = np.einsum("ij,ij->i", normals, view)
    inside = facing < -0.2  # the inner side of a sleeve
    normals[inside] *= -1
    towards = lights.towards.astype(np.float32)
    cosine = normals @ towards
    lit = np.zeros(count, np.float32)
    bright = np.flatnonzero(cosine > -0.25) if lights.lamp.any() else np.zeros(0, np.int64)
    if len(bright):
        row, column = np.divmod(cells[bright], shape[1])
        seen = lamp_share(scene, lights, points[bright], normals[bright], _PATTERN[row % 4, column % 4])
        lit[bright] = _softened(seen, cells[bright], shape)
    half = unit(view + towards)
    grazing = 0.2 + 0.8 * (1 - np.clip(np.abs(facing), 0, 1)) ** 4
    wrap = np.where(is_skin[:, None], WRAP, 0.02)
    diffuse = np.clip((cosine[:, None] + wrap) / (1 + wrap), 0, None)
    through = np.where(is_skin[:, None], np.array([0.12, 0.02, 0.01], np.float32), 0)
    shadow = lit[:, None] * (1 - through) + through  # red light gets into the shadow's edge
    shine = rng.uniform(0.02, 0.16) * gloss * grazing
    sharp = np.clip(np.einsum("ij,ij->i", normals, half), 0, 1) ** rng.uniform(8, 40)
    light = lights.lamp * diffuse * shadow + room
    result = colour * light + (4 * shine * sharp * lit * (cosine > 0))[:, None] * lights.lamp
    return np.asarray(result + (shine * 0.6)[:, None] * room, np.float32)


def _gathered(part: Part, scene: RayScene, lights: Lights, rng: np.random.Generator) -> FloatArray:
    """Return the room's light (V, 3) at a part's vertices."""
    count = len(part.vertices) if part.coarse is None else part.coarse.vertices
    vertices, normals = part.vertices[:count], part.normals[:count]
    light = np.zeros((count, 3), np.float32)
    # What faces away is not seen, but for the inner side of cloth.
    seen = np.flatnonzero(np.einsum("ij,ij->i", normals, unit(vertices)) < AWAY)
    if part.coarse is None and part.owner != "thing":
        seen = np.arange(count)
    light[seen] = room_light(scene, lights, vertices[seen], normals[seen], rng)
    if part.coarse is None:
        return light
    edges = part.coarse.edges
    return np.concatenate([light, (light[edges[:, 0]] + light[edges[:, 1]]) / 2])


def _softened(seen: FloatArray, cells: IntArray, shape: tuple[int, int]) -> FloatArray:
    """Return the share of the lamp that cells see, as the mean over the 4 x 4 cells that share the pattern."""
    picture, weight = np.zeros(shape[0] * shape[1], np.float32), np.zeros(shape[0] * shape[1], np.float32)
    picture[cells], weight[cells] = seen, 1
    total = cv2.blur(picture.reshape(shape), (4, 4)) / np.maximum(cv2.blur(weight.reshape(shape), (4, 4)), 1e-6)
    return np.asarray(total.ravel()[cells], np.float32)


def _pattern() -> FloatArray:
    """Sixteen points (4, 4, 2) spread over the unit disc, far ones side by side."""
    order = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
    i = order + 0.5
    radius, angle = np.sqrt(i / 16), i * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).astype(np.float32)


_PATTERN = _pattern()
