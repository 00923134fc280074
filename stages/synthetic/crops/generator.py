"""One seed to one training crop."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.hand import load_generic_hand
from stages.synthetic.crops.composing import Scene, compose
from stages.synthetic.crops.draws import Draws, chance, log_uniform
from stages.synthetic.crops.figure import generic_betas
from stages.synthetic.crops.framing import Square, jittered, square_around
from stages.synthetic.crops.noise import FloatArray
from stages.synthetic.crops.rendering import Canvas, any_background, developed, draw, moved, solid_scene
from stages.synthetic.crops.settings import CropSettings
from stages.synthetic.crops.truth import CropTruth, Sight, TrainingCrop
from stages.synthetic.surfaces import RayScene

Array = NDArray[np.float64]

LEAST_VISIBLE = 6
"""Joints that are seen, at least; a seed whose hand is more hidden is drawn again."""
TRIES = 6
FINE_BELOW = 90.0
"""Pixels along its side below which a crop is drawn in four cells a pixel."""
MARGIN = 0.05
"""Share of the crop's side that is drawn around it, for blur."""
FLESH = np.array([0.034, 0.029, 0.021, 0.017, 0.015, *[0.023, 0.016, 0.015, 0.014] * 4])
"""Metres of its own flesh (21,) that may lie between a joint and the camera, in a hand of PALM."""
PALM = 0.0917
"""Metres from the wrist to the middle finger's knuckle of a middling hand."""


def render_crop(seed: int, settings: CropSettings | None = None) -> TrainingCrop:
    """Return the crop of a seed, 0 or more: the same for the same seed and settings, whatever was rendered before."""
    settings = settings or CropSettings()
    for attempt in range(TRIES):
        draws = Draws(seed if attempt == 0 else seed + attempt * 10**12)
        scene = compose(draws, settings.mesh)
        joints_2d = scene.camera.project(scene.figure.posed.joints)
        square = jittered(square_around(joints_2d), settings.jitter, draws("jitter"))
        rays = solid_scene(scene.parts)
        sight = _sight(scene, rays, joints_2d, square, settings.size)
        if (sight == Sight.VISIBLE).sum() >= LEAST_VISIBLE:
            break
    image = _picture(scene, rays, square, settings, draws)
    return TrainingCrop(image, _truth(seed, scene, square, sight, settings.size))


def _sight(scene: Scene, rays: RayScene, joints_2d: Array, square: Square, pixels: int) -> NDArray[np.uint8]:
    """Return a `Sight` for each of the hand's joints (21,)."""
    joints = scene.figure.posed.joints
    hits = rays.cast(joints / joints[:, 2:])
    own = np.array([part.owner in ("hand", "worn") for part in scene.parts])[hits.mesh]
    nearer = joints[:, 2] - hits.distance
    sight = np.full(21, Sight.VISIBLE, np.uint8)
    size = float(np.linalg.norm(joints[9] - joints[0])) / PALM
    sight[own & (nearer > size * FLESH)] = Sight.BEHIND_ITSELF
    sight[~own & (hits.mesh >= 0) & (nearer > 0)] = Sight.COVERED
    T = square.transform(pixels)
    in_crop = joints_2d @ T[:, :2].T + T[:, 2]
    inside = ((in_crop >= 0) & (in_crop <= pixels)).all(1)
    inside &= ((joints_2d >= 0) & (joints_2d <= (scene.width, scene.height))).all(1)
    sight[~inside] = Sight.OUTSIDE
    return sight


def _picture(
    scene: Scene, rays: RayScene, square: Square, settings: CropSettings, draws: Draws
) -> NDArray[np.uint8]:  # fmt: skip
    """Draw the part of the picture that the square needs, develop it and cut the square."""
    canvas = _canvas(scene, square)
    width, height = canvas.width // canvas.scale, canvas.height // canvas.scale
    wanted = _within(square, canvas)
    drawing = draw(scene.parts, rays, scene.lights, scene.camera, canvas, wanted, draws("shading"))
    layer = drawing.layer
    if canvas.scale > 1:
        layer = np.asarray(cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA))
    layer = moved(layer, square.side, draws("motion"))
    light = any_background(draws("background"), (height, width)) * _evenly_lit(scene)
    light = _shadowed(light, layer[..., 3], square.side, draws("shadow"))
    light = light * (1 - layer[..., 3:]) + layer[..., :3]
    picture = developed(np.asarray(light, np.float32), layer[..., 3], square.side, draws("camera"))
    T = square.transform(settings.size)
    # From the canvas's pixels to the crop's, whose middles are half a pixel off their numbers.
    A = T[:, :2]
    b = T[:, 2] + A @ (np.array([canvas.left, canvas.top]) + 0.5) - 0.5
    mode = cv2.BORDER_CONSTANT if settings.border == "black" else cv2.BORDER_REPLICATE
    shrink = settings.size / square.side
    if shrink < 0.8:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.35 / shrink), np.uint8)
    matrix = np.concatenate([A, b[:, None]], 1)
    size = (settings.size, settings.size)
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=mode), np.uint8)


def _canvas(scene: Scene, square: Square) -> Canvas:
    """Return the box of the picture that holds the square, in cells fine enough for smooth edges."""
    c, s = np.cos(square.turn), np.sin(square.turn)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * square.side / 2 @ np.array([[c, s], [-s, c]])
    low, high = (corners + square.centre).min(0), (corners + square.centre).max(0)
    limits = np.array([scene.width, scene.height])
    left, top = np.clip(np.floor(low) - 1, 0, limits - 8).astype(int)
    right, bottom = np.clip(np.ceil(high) + 1, (left + 8, top + 8), limits).astype(int)
    scale = 2 if square.side < FINE_BELOW else 1
    width, height = int(right - left), int(bottom - top)
    return Canvas(int(left), int(top), width * scale, height * scale, scale)


def _within(square: Square, canvas: Canvas) -> NDArray[np.bool_]:
    """Return cells (height, width) that are in the square or near it: as far as blur reaches."""
    x = ((np.arange(canvas.width) + 0.5) / canvas.scale + canvas.left - square.centre[0]).astype(np.float32)
    y = ((np.arange(canvas.height) + 0.5) / canvas.scale + canvas.top - square.centre[1]).astype(np.float32)[:, None]
    c, s, reach = np.cos(square.turn), np.sin(square.turn), (0.5 + MARGIN) * square.side
    return np.asarray((np.abs(c * x + s * y) < reach) & (np.abs(c * y - s * x) < reach))


def _evenly_lit(scene: Scene) -> FloatArray:
    """Return the light (3,) on a wall of the place."""
    lights = scene.lights
    return np.asarray(0.5 * (lights.above + lights.below) + 0.45 * lights.lamp, np.float32)


def _shadowed(light: FloatArray, covered: FloatArray, side: float, rng: np.random.Generator) -> FloatArray:
    """Return the background with the hand's shadow on it, where something is close behind; half the time."""
    if not chance(rng, 0.5):
        return light
    shift = rng.normal(0, 0.09, 2) * side
    soft = side * log_uniform(rng, 0.008, 0.08)
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    shadow = cv2.warpAffine(covered, matrix, covered.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    shadow = np.asarray(cv2.GaussianBlur(shadow, (0, 0), soft))
    return np.asarray(light * (1 - np.float32(rng.uniform(0.15, 0.75)) * shadow[..., None]), np.float32)


def _truth(seed: int, scene: Scene, square: Square, sight: NDArray[np.uint8], size: int) -> CropTruth:
    """Return the truth in the frame of the crop's camera."""
    figure, camera = scene.figure, scene.camera
    T = square.transform(size)
    c, s = np.cos(square.turn), np.sin(square.turn)
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    generic, betas = load_generic_hand(), generic_betas(scene.mesh, figure.betas)
    R, joints = turn @ figure.global_orient, figure.posed.joints @ turn.T
    translation = joints[0] - generic.rest_joints(betas)[0]
    if scene.mesh != "generic":
        translation += (joints - generic.pose(R, figure.hand_pose, betas, translation).joints).mean(0)
    centre = T[:, :2] @ np.array([camera.cx, camera.cy]) + T[:, 2]
    focal = camera.fx * size / square.side
    return CropTruth(
        seed=seed, global_orient=R, hand_pose=figure.hand_pose, betas=betas,
        translation=translation, joints=joints, joints_2d=joints[:, :2] / joints[:, 2:] * focal + centre,
        sight=sight, camera=np.array([focal, focal, *centre]),
        picture_camera=np.array([camera.fx, camera.fy, camera.cx, camera.cy]),
        picture_size=np.array([scene.width, scene.height], np.int32), T_crop_picture=T, kind=scene.kind,
        scene=scene.scene, view=scene.view, mesh=scene.mesh,
    )  # fmt: skip
