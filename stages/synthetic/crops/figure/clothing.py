"""What arms and fingers wear: sleeves, watches, bracelets and rings, as surfaces in the camera frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hamba_core.hand import FINGERS, MODEL_JOINT_NAMES
from stages.synthetic.crops.draws import chance, log_uniform
from stages.synthetic.crops.figure.forearm import Forearm, tube
from stages.synthetic.crops.meshing import rings_faces, vertex_normals
from stages.synthetic.crops.posing import Form, Mesh, Thing

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Outfit:
    """What one arm and hand wear; nothing where a field is none or empty."""

    sleeve: float | None  # m behind the wrist where it ends
    loose: float  # m above the skin
    watch: float | None  # m behind the wrist
    bracelet: float | None  # m behind the wrist
    rings: tuple[str, ...]  # fingers
    glove: str | None  # "whole", "fingerless" or "thin"


def any_outfit(rng: np.random.Generator) -> Outfit:
    """Return clothes as people wear them: six of ten in sleeves, few in gloves."""
    sleeve = None
    if chance(rng, 0.6):
        sleeve = rng.uniform(0.0, 0.03) if chance(rng, 0.35) else rng.uniform(0.03, 0.2)
    watch = rng.uniform(0.022, 0.05) if chance(rng, 0.16) else None
    bracelet = rng.uniform(0.01, 0.05) if watch is None and chance(rng, 0.12) else None
    rings = tuple(f for f, p in zip(FINGERS, (0.02, 0.05, 0.06, 0.12, 0.03), strict=True) if chance(rng, p))
    glove = str(rng.choice(["whole", "fingerless", "thin"], p=[0.45, 0.2, 0.35])) if chance(rng, 0.05) else None
    return Outfit(sleeve, log_uniform(rng, 0.003, 0.02), watch, bracelet, rings, glove)


def sleeve_mesh(forearm: Forearm, rim: Array, end: float, loose: float, rng: np.random.Generator) -> Mesh:
    """Return a sleeve that ends `end` metres behind the wrist, open in front."""
    reach = np.array([0.012, 0.0, 0.0, 0.004, 0.014, 0.028, 0.046, 0.07, 0.1, 0.14, 0.19, 0.26, 0.4])
    above = np.array([-0.25, 0.1, 0.75, 1.0, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 2.0]) * loose + 0.001
    rings = tube(rim, end + reach, above)
    waves = np.arange(1, 6)[:, None]
    around = np.linspace(0, 2 * np.pi, rings.shape[1], endpoint=False)
    for k in range(4, len(rings)):  # the cuff has no folds
        fold = (rng.normal(0, 1, (5, 1)) * np.cos(waves * around + rng.uniform(0, 2 * np.pi, (5, 1)))).sum(0)
        rings[k][:, [0, 2]] *= 1 + 0.018 * fold[:, None]
    return _placed(forearm, rings)


def band_mesh(forearm: Forearm, rim: Array, behind: float, width: float, thick: float) -> Mesh:
    """Return a band around the forearm: a watch's, a bracelet, a hair tie."""
    at = behind + width * np.array([-0.5, -0.5, -0.4, 0.4, 0.5, 0.5])
    return _placed(forearm, tube(rim, np.maximum(at, 0), thick * np.array([-1, 0.6, 1, 1, 0.6, -1])))


def watch_case(forearm: Forearm, rim: Array, behind: float, rng: np.random.Generator) -> Thing:
    """Return a watch's case on the back of the wrist, sometimes on its inside."""
    centre, frame = forearm.frame_at(behind)
    side = 1.0 if chance(rng, 0.1) else -1.0
    size, height = rng.uniform(0.015, 0.022), rng.uniform(0.003, 0.006)
    half = float(np.abs(rim[:, 2] - rim[:, 2].mean()).max())
    place = centre + frame[:, 2] * (side * (half + height) + rim[:, 2].mean() / 2)
    form: Form = "cylinder" if chance(rng, 0.5) else "box"
    return Thing(form, np.array([size, size, height]), frame, place)


def ring_mesh(finger: str, rest: Array, weights: Array, joints: Array, skin: Array, rng: np.random.Generator) -> Mesh:
    """Return a ring around a finger's first segment.

    `rest` and `skin` (V, 3) are the surface at rest and posed, `weights` (V, 16) its skinning weights, `joints`
    (21, 3) the joints at rest, palm coordinates.
    """
    first = 4 * FINGERS.index(finger) + 1 + (finger == "thumb")
    model_joint = MODEL_JOINT_NAMES.index(f"{finger}_{2 if finger == 'thumb' else 1}")
    start, along = joints[first], joints[first + 1] - joints[first]
    length = float(np.linalg.norm(along))
    along = along / length
    place, width = length * rng.uniform(0.5, 0.72), rng.uniform(0.0015, 0.004)
    s = (rest - start) @ along
    near = np.flatnonzero((np.abs(s - place) < 0.006) & (weights[:, model_joint] > 0.6))
    # The rigid motion of the finger here takes the ring along.
    middle_rest, middle = rest[near].mean(0), skin[near].mean(0)
    u, _, vt = np.linalg.svd((skin[near] - middle).T @ (rest[near] - middle_rest))
    R = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    across = rest[near] - middle_rest
    across -= (across @ along)[:, None] * along
    radius = float(np.linalg.norm(across, axis=1).mean()) * 1.04 + 0.0004
    x = np.cross(along, (0.0, 0, 1))
    x /= np.linalg.norm(x)
    y = np.cross(along, x)
    around = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    circle = np.cos(around)[:, None] * x + np.sin(around)[:, None] * y
    profile = zip((-1, -1, -0.5, 0.5, 1, 1), (-0.001, 0.0003, 0.0009, 0.0009, 0.0003, -0.001), strict=True)
    centre = middle_rest + along * (place - (middle_rest - start) @ along)
    rings = np.stack([centre + along * width * side + circle * (radius + over) for side, over in profile])
    flat = rings.reshape(-1, 3)
    return _mesh((flat - middle_rest) @ R.T + middle, flat, len(rings))


def _placed(forearm: Forearm, rings: Array) -> Mesh:
    flat = rings.reshape(-1, 3)
    return _mesh(forearm.place(flat), flat, len(rings))


def _mesh(vertices: Array, local: Array, rings: int) -> Mesh:
    faces = rings_faces(rings, len(vertices) // rings)
    normals = vertex_normals(vertices, faces)
    middle = vertices.reshape(rings, -1, 3).mean(1, keepdims=True)
    outwards = (normals.reshape(rings, -1, 3) * (vertices.reshape(rings, -1, 3) - middle)).sum()
    if outwards < 0:
        faces, normals = faces[:, ::-1].copy(), -normals
    return Mesh(vertices, normals, faces, local)
