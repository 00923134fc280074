"""Hands are drawn into a place: rays go through the pixels where hands are, several at edges, with blur in motion."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array, Int64Array
from hamba_core.view import Intrinsics
from stages.packets import Image
from stages.synthetic.exposure import Exposure
from stages.synthetic.scene import Scenery
from stages.synthetic.surfaces import HandMesh, Hits, Lighting, Noise, RayScene, Skin, Surface, Texture

SUBPIXELS = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
"""Where edge pixels are sampled: a rotated grid."""
EDGE_STEP = 0.005
"""Metres of depth between neighbouring pixels that make an edge."""
LEAST_STREAK = 1.5
"""Pixels of motion while a frame is exposed below which nothing is blurred."""
SHADOW_DEPTH = 0.58
"""Share of the background's light that is the main light's."""
NEAREST = 0.02
"""Metres from the camera below which nothing is drawn."""

Box = tuple[int, int, int, int]


class Renderer:
    """Draws one place with the hands in it."""

    def __init__(
        self, meshes: list[HandMesh], skin: Skin, scenery: Scenery, camera: Intrinsics, size: tuple[int, int],
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        """Take the picture's `size` (width, height), and meshes that share one topology."""
        self._meshes, self._scenery, self._camera = meshes, scenery, camera
        self._width, self._height = size
        texels = int(np.clip(max(size) / 90, 2, 12))  # about one a pixel
        self._texture = Texture(meshes[0], skin, scenery.sleeve, Noise(rng), texels)
        self._lighting = Lighting(meshes, scenery.lights, rng)
        self._exposure = Exposure(size, rng)
        x, y = np.meshgrid(np.arange(self._width) + 0.5, np.arange(self._height) + 0.5)
        self._rays = camera.rays(np.stack([x, y], -1)).astype(np.float32)  # (height, width, 3), z = 1

    def render(self, surfaces: list[Surface], motions: NDArray[np.floating], seed: tuple[int, ...]) -> Image:
        """Return the picture (height, width, 3) of posed surfaces.

        `motions` (hands, 2) are the pixels that each hand moves while the frame is exposed; `seed` decides the grain.
        """
        vertices = np.concatenate([surface.vertices for surface in surfaces]).astype(np.float32)
        normals = np.concatenate([surface.normals for surface in surfaces]).astype(np.float32)
        scene = RayScene([(s.vertices, mesh.faces) for s, mesh in zip(surfaces, self._meshes, strict=True)])
        picture = self._background(scene)
        box = self._box(vertices, int(np.ceil(np.abs(motions).max())) + 1)
        if box is not None:
            self._draw(picture, box, scene, self._lighting.gather(scene, vertices, normals), motions)
        return self._exposure.expose(picture, seed)

    def _background(self, scene: RayScene) -> Float32Array:
        """Return the background with the hands' shadows."""
        ground, picture = self._scenery.ground, self._scenery.background
        if ground is None:
            return picture.copy()
        step = max(1, self._width // 100)
        rays = self._rays[step // 2 :: step, step // 2 :: step]
        points = rays * ground.depth(rays)[..., None]
        share = self._lighting.shadow(scene, points.reshape(-1, 3).astype(np.float32)).reshape(rays.shape[:2])
        lit = np.asarray(cv2.resize(cv2.GaussianBlur(share, (0, 0), 1.3), (self._width, self._height)))
        return np.asarray(picture * (1 - SHADOW_DEPTH + SHADOW_DEPTH * lit)[..., None], np.float32)

    def _box(self, vertices: Float32Array, margin: int) -> Box | None:
        """Return left, top, right and bottom of the part of the picture that holds hands; None if it has none."""
        pixels = self._camera.project(vertices[vertices[:, 2] > NEAREST])
        if not len(pixels):
            return None
        left, top = np.maximum(np.floor(pixels.min(0)) - margin, 0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(pixels.max(0)) + margin, (self._width, self._height)).astype(int).tolist()
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _draw(
        self, picture: Float32Array, box: Box, scene: RayScene, light: Float32Array, motions: NDArray[np.floating]
    ) -> None:
        """Draw the hands into the box of the picture, in place."""
        left, top, right, bottom = box
        shape = (bottom - top, right - left)
        rays = self._rays[top:bottom, left:right].reshape(-1, 3)
        pixels = self._near_hands(scene, rays, shape)
        # Hands that move are blurred one by one; those that hold still share the first layer.
        moving = np.hypot(*motions.T) >= LEAST_STREAK
        layer_of = np.where(moving, np.cumsum(moving), 0)
        layers = np.zeros((1 + int(moving.sum()), len(pixels), 4), np.float32)
        hits = scene.cast(rays[pixels])
        met = np.flatnonzero(hits.mesh >= 0)
        layers[layer_of[hits.mesh[met]], met] = self._colours(hits, met, light)
        edges = self._edges(hits, pixels, shape)
        layers[:, edges] = 0
        shifts = np.array([(dx / self._camera.fx, dy / self._camera.fy, 0) for dx, dy in SUBPIXELS], np.float32)
        for shift in shifts:
            hits = scene.cast(rays[pixels[edges]] + shift)
            met = np.flatnonzero(hits.mesh >= 0)
            colours = self._colours(hits, met, light) / len(shifts)
            layers[layer_of[hits.mesh[met]], edges[met]] += colours
        part, rows, columns = picture[top:bottom, left:right], *np.divmod(pixels, shape[1])
        part[rows, columns] = part[rows, columns] * (1 - layers[0, :, 3:]) + layers[0, :, :3]
        for layer, motion in zip(layers[1:], motions[moving], strict=True):
            whole = np.zeros((len(rays), 4), np.float32)
            whole[pixels] = layer
            whole = _streaked(whole.reshape(*shape, 4), motion)
            part *= 1 - whole[..., 3:]
            part += whole[..., :3]

    def _near_hands(self, scene: RayScene, rays: Float32Array, shape: tuple[int, int]) -> Int64Array:
        """Return the indices of the rays (h * w, 3) near hands, found by a sparser grid of rays."""
        step = max(self._width, self._height) // 160
        if step < 2:
            return np.arange(len(rays))
        some = rays.reshape(*shape, 3)[::step, ::step]
        met = (scene.cast(some.reshape(-1, 3)).mesh >= 0).reshape(some.shape[:2])
        near = cv2.dilate(met.astype(np.uint8), np.ones((3, 3), np.uint8))
        return np.flatnonzero(np.repeat(np.repeat(near, step, 0), step, 1)[: shape[0], : shape[1]])

    def _colours(self, hits: Hits, met: Int64Array, light: Float32Array) -> Float32Array:
        """Return the linear colours with opacity 1 (n, 4) of the rays `met` (n,), which met a hand."""
        mesh, face, uv = hits.mesh[met], hits.face[met], hits.uv[met]
        first = mesh * self._meshes[0].vertices
        a, b, c = (first + corner for corner in self._meshes[0].faces.take(face, 0).T)
        u, v = uv[:, :1], uv[:, 1:]
        colours = light.take(a, 0) * (1 - u - v) + light.take(b, 0) * u + light.take(c, 0) * v
        texels = self._texture.at(face, uv)
        colours[:, :3] = colours[:, :3] * texels[:, :3] + colours[:, 3:] * texels[:, 3:]
        colours[:, 3] = 1
        return np.asarray(colours, np.float32)

    @staticmethod
    def _edges(hits: Hits, pixels: Int64Array, shape: tuple[int, int]) -> Int64Array:
        """Return which of the pixels lie beside another hand, the background or a step in depth."""
        mesh, depth = np.full(shape, -1, np.int8), np.full(shape, 1e3, np.float32)
        mesh.reshape(-1)[pixels], depth.reshape(-1)[pixels] = hits.mesh, np.minimum(hits.distance, 1e3)
        edge = np.zeros(shape, bool)
        for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
            step = (mesh[before] != mesh[after]) | (np.abs(depth[before] - depth[after]) > EDGE_STEP)
            edge[before] |= step
            edge[after] |= step
        return np.flatnonzero(edge.reshape(-1)[pixels])


def _streaked(layer: Float32Array, motion: NDArray[np.floating]) -> Float32Array:
    """Return the layer (h, w, 4) smeared along a motion (2,) px."""
    reach = int(np.ceil(np.hypot(*motion) / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    start, end = (np.round((reach + sign * motion / 2) * 256).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_8, 8)
    return np.asarray(cv2.filter2D(layer, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE), np.float32)
