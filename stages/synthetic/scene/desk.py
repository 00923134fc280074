"""A desk as seen by the person who sits at it: planks, a sheet of paper, a pen, a cup."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array, Float32Array
from hamba_core.view import Intrinsics
from stages.synthetic.surfaces import Lights, Noise, linear

WOODS = ((158, 112, 74), (124, 84, 54), (190, 150, 108), (98, 70, 50))
PENS = ((132, 52, 44), (44, 82, 112), (196, 162, 92), (70, 96, 74), (88, 66, 96), (38, 42, 50))
GLAZES = ((226, 222, 214), (94, 128, 140), (172, 88, 66), (60, 66, 72))
"""sRGB colours of the desk, of pens and of cups."""

BELOW_HANDS = 0.19
"""Metres from the hands to the desk along the camera's axis."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane has the points x, m, camera frame, with normal . x = offset; the normal points to the camera's side."""

    normal: Array  # (3,) unit
    offset: float  # negative

    def depth(self, rays: NDArray[np.floating]) -> Array:
        """Return how far along rays (..., 3) from the camera the plane lies, in lengths of the ray."""
        return np.asarray(self.offset / np.minimum(rays @ self.normal, -1e-3))


def desk_plane(rng: np.random.Generator, distance: float) -> Plane:
    """Return a desk below hands at this distance, under a camera that looks down at it."""
    pitch = np.radians(rng.uniform(56, 64))
    return Plane(np.array([0, -np.cos(pitch), -np.sin(pitch)]), -(distance + BELOW_HANDS) * float(np.sin(pitch)))


def desk_lights(plane: Plane, side: float) -> Lights:
    """Return a lamp above the desk, to the left (-1) or right (1)."""
    away = np.array([0, plane.normal[2], -plane.normal[1]])
    towards = plane.normal + side * np.array([0.75, 0, 0]) + 0.3 * away
    return Lights(
        direction=towards / np.linalg.norm(towards), colour=np.array([1.06, 0.98, 0.86], np.float32), width=0.16,
        above=np.array([0.30, 0.325, 0.365], np.float32), below=np.array([0.12, 0.09, 0.065], np.float32),
        side=np.array([0.10, 0.12, 0.16], np.float32), up=plane.normal,
    )  # fmt: skip


def desk_picture(rng: np.random.Generator, camera: Intrinsics, size: tuple[int, int], plane: Plane) -> Float32Array:
    """Return the linear colours (height, width, 3) of the desk in a picture of this (width, height)."""
    width, height = size
    away = np.array([0, plane.normal[2], -plane.normal[1]])  # on the desk, from the viewer

    def on_desk(pixels: NDArray[np.floating]) -> Array:
        rays = camera.rays(pixels)
        points = rays * plane.depth(rays)[..., None]
        return np.stack([points[..., 0], points @ away], -1)

    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    colour = _planks(rng, on_desk(np.stack([x, y], -1).reshape(-1, 2))).reshape(height, width, 3)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    H_picture_desk = np.asarray(cv2.getPerspectiveTransform(on_desk(corners).astype(np.float32), corners), np.float64)
    middle = on_desk(np.array([camera.cx, camera.cy]))
    for thing in _desk_things(rng, float(middle[1])):
        colour = _lay(colour, thing, H_picture_desk)
    return np.ascontiguousarray(colour, np.float32)


def _planks(rng: np.random.Generator, at: Array) -> Float32Array:
    """Return the colours (N, 3) of a desk of planks at these places (N, 2), metres."""
    noise, wood = Noise(rng), linear(WOODS[rng.integers(len(WOODS))])
    breadth = rng.uniform(0.11, 0.16)
    plank = np.floor(at[:, 1] / breadth)
    shift = rng.uniform(size=64)[plank.astype(int) % 64]  # each plank's own
    x, y = at[:, 0] + 3.7 * shift, at[:, 1] + 0.9 * shift
    rings = noise(np.stack([x * 0.1, y], 1), 0.03, 2)
    grain = np.sin(55 * rings + 260 * y + 2 * noise(np.stack([x * 0.2, y], 1), 0.008))
    fibre = noise(np.stack([x * 0.05, y], 1), 0.0016, 2)
    pores = np.maximum(noise(np.stack([x * 0.12, y], 1), 0.0028) - 0.55, 0)
    shade = 1 + 0.10 * grain + 0.10 * fibre - 0.7 * pores + 0.20 * (shift - 0.5) + 0.10 * noise(at, 0.3)
    into = np.abs(at[:, 1] / breadth - plank - 0.5)
    seam = np.clip((into - 0.488) / 0.008, 0, 1)
    shade *= 1 - 0.6 * seam
    tint = np.array([1.0, 0.985, 0.95]) ** (3 * grain)[:, None]
    return np.asarray(wood * tint * shade[:, None].clip(0.1, 1.6), np.float32)


Thing = tuple[Float32Array, Array, float]
"""Colours with opacity (h, w, 4), where its corners lie on the desk (4, 2) m, and the softness of its shadow, m."""


def _place(picture: Float32Array, middle: tuple[float, float], long: float, angle: float, soft: float) -> Thing:
    height, width = picture.shape[:2]
    half = np.array([long, long * height / width]) / 2
    c, s = np.cos(angle), np.sin(angle)
    box = np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]]) * half
    return picture, box @ np.array([[c, s], [-s, c]]) + middle, soft


def _desk_things(rng: np.random.Generator, middle: float) -> list[Thing]:
    """Return a notebook, a pen and a cup on a desk whose middle in the picture is that far from the viewer."""
    side = rng.choice([-1, 1])
    angle = rng.uniform(-0.25, 0.25)
    x = side * rng.uniform(0.02, 0.10)
    page = _place(_page(rng), (x, middle + 0.05), 0.2, angle, 0.006)
    pen = _place(_pen(rng), (x + side * 0.17, middle + 0.09), 0.145, angle + side * 1.2, 0.004)
    cup = _place(_cup(rng), (-side * rng.uniform(0.23, 0.29), middle + rng.uniform(0.14, 0.2)), 0.13, 0.0, 0.014)
    return [page, pen, cup]


def _page(rng: np.random.Generator) -> Float32Array:
    picture = np.zeros((700, 520, 4), np.float32)
    picture[8:-8, 8:-8] = (*linear((238, 234, 222)), 1)
    for row in range(70, 660, 30):
        cv2.line(picture, (30, row), (490, row), (*linear((186, 198, 214)).tolist(), 1), 2, cv2.LINE_AA)
        if row < 430:
            end, x = rng.integers(200, 430), 40
            while x < end:
                word = int(rng.integers(14, 60))
                along = np.arange(x, x + word, 3)
                up = row - 6 - np.abs(rng.normal(0, 5, len(along)))
                points = np.stack([along, up], 1).astype(np.int32)
                cv2.polylines(picture, [points], False, (*linear((52, 58, 92)).tolist(), 1), 2, cv2.LINE_AA)
                x += word + 14
    return picture


def _pen(rng: np.random.Generator) -> Float32Array:
    picture = np.zeros((40, 600, 4), np.float32)
    body = linear(PENS[rng.integers(len(PENS))])
    rows = np.arange(40)[:, None] - 20
    shine = np.clip(1.25 - (np.abs(rows + 5) / 15) ** 2, 0.35, 1.25)
    inside = np.abs(rows) < np.interp(np.arange(600), [0, 6, 520, 590, 600], [12, 14, 14, 3, 0])[None]
    picture[..., :3] = body * shine[..., None]
    picture[:, 520:, :3] = linear((196, 192, 184)) * shine[..., None]
    picture[..., 3] = inside
    return picture


def _cup(rng: np.random.Generator) -> Float32Array:
    """Return a cup of coffee seen from above."""
    picture = np.zeros((480, 480, 4), np.float32)
    glaze = linear(GLAZES[rng.integers(len(GLAZES))])

    def disc(centre: tuple[int, int], radius: int, colour: Float32Array) -> None:
        cv2.circle(picture, centre, radius, (*np.asarray(colour).tolist(), 1.0), -1, cv2.LINE_AA)

    cv2.ellipse(picture, (405, 235), (48, 30), 0, 0, 360, (*(glaze * 0.8).tolist(), 1), 20, cv2.LINE_AA)
    for step in range(14):  # its wall, leaning away from the camera
        disc((240, 262 - 3 * step), 150, glaze * (0.45 + 0.03 * step))
    disc((240, 220), 152, glaze)
    disc((240, 222), 138, glaze * 0.5)
    disc((240, 228), 130, linear((74, 44, 28)))
    cv2.ellipse(picture, (240, 228), (122, 122), 0, 200, 262, (*linear((168, 120, 84)).tolist(), 1), 5, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.5), np.float32)


def _lay(colour: Float32Array, thing: Thing, H_picture_desk: NDArray[np.float64]) -> Float32Array:
    """Put a flat thing with its shadow onto the desk."""
    picture, corners, soft = thing
    height, width = picture.shape[:2]
    own = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    size = (colour.shape[1], colour.shape[0])
    seen = cv2.perspectiveTransform(corners[None].astype(np.float32), H_picture_desk)[0]
    scale = float(np.linalg.norm(seen[1] - seen[0]) / np.linalg.norm(corners[1] - corners[0]))  # px a metre
    H = cv2.getPerspectiveTransform(own, seen.astype(np.float32))
    shrink = scale * np.linalg.norm(corners[1] - corners[0]) / width
    source = cv2.GaussianBlur(picture, (0, 0), 0.5 / shrink) if shrink < 0.7 else picture
    layer = cv2.warpPerspective(source, H, size, flags=cv2.INTER_LINEAR)
    opacity = layer[..., 3:]
    blur = max(soft * scale, 0.6)
    shadow = cv2.GaussianBlur(opacity, (0, 0), blur)
    shift = np.array([[1, 0, 0.4 * blur], [0, 1, 0.7 * blur]])
    shadow = cv2.warpAffine(shadow, shift, size)[..., None]
    lit = colour * (1 - 0.55 * shadow)
    return np.asarray(lit * (1 - opacity) + layer[..., :3], np.float32)
