"""A world is a person, a place, a camera and what happens: all that a seed decides, as pictures and as truth."""

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand import (
    FINGERS,
    JOINT_NAMES,
    MIRROR,
    MODEL_JOINTS_IN_21,
    SIDES,
    HandModel,
    PosedHand,
    Side,
    joint_axes,
    load_generic_hand,
)
from hamba_core.view import ESTIMATED_FIELD_OF_VIEW, Intrinsics
from stages.packets import Image
from stages.synthetic.motion import Choreography, HandState, palm_basis, stage_distance
from stages.synthetic.rendering import Renderer
from stages.synthetic.scene import make_scenery
from stages.synthetic.settings import SyntheticSettings
from stages.synthetic.surfaces import HandMesh, RayScene, Skin, Surface
from stages.synthetic.truth import HandTruth

EXPOSURE = 1 / 90
"""Seconds a frame is exposed: how much a moving hand blurs."""

ON_SURFACE = 0.0015
"""Metres before a vertex within which a surface counts as its own."""

PALM_CORNERS = [0, *(JOINT_NAMES.index(f"{finger}_1") for finger in FINGERS[1:])]
TIPS = [JOINT_NAMES.index(f"{finger}_4") for finger in FINGERS]


def camera_of(settings: SyntheticSettings) -> Intrinsics:
    """Return the camera that takes the pictures; it is known, not estimated."""
    return Intrinsics.from_field_of_view(ESTIMATED_FIELD_OF_VIEW, settings.width, settings.height)


class World:
    """A world gives the picture and the truth at any time, in any order; they are the same for the same settings."""

    def __init__(self, settings: SyntheticSettings, model: HandModel | None = None) -> None:
        """`model` is the right hand that people have, in the generic hand's structure; without it, the generic one."""
        self.model = load_generic_hand() if model is None else model
        self.camera = camera_of(settings)
        self._seed, self._size = settings.seed, (settings.width, settings.height)
        person, place, skin, look = (np.random.default_rng([settings.seed, k]) for k in range(4))
        sides: tuple[Side, ...] = SIDES if settings.hands == 2 else (SIDES[int(person.integers(2))],)
        betas = np.clip(person.normal(0, 0.7, 10), -1.5, 1.5)
        distance = stage_distance(self.camera, self._size)
        scenery = make_scenery(place, self.camera, self._size, distance)
        self._choreography = Choreography(
            self.model,
            settings.seed,
            sides,
            self.camera,
            self._size,
            scenery.view,
            np.tile(betas, (len(sides), 1)),
            settings.acts,
        )
        self._meshes = [HandMesh(self.model, betas, look) for _ in sides]
        self._renderer = Renderer(
            self._meshes, Skin(self.model, betas, scenery.tone, skin), scenery, self.camera, self._size, look
        )
        self._flesh = self._flesh_before_joints(betas)

    def gestures_at(self, time: float) -> list[dict[str, float]]:
        """Return how far, rad, each hand's fingers are from each gesture at `time` seconds."""
        return self._choreography.gestures_at(time)

    def joints_2d_at(self, time: float) -> list[Array]:
        """Return the joints (21, 2) px of each hand at `time` seconds, seen or not."""
        return [self.camera.project(posed.joints) for posed in self._posed(self._choreography.states(time))]

    def picture(self, time: float) -> Image:
        """Return the picture (height, width, 3) RGB at `time` seconds."""
        states = self._choreography.states(time)
        surfaces = self._surfaces(states, self._posed(states))
        later = self._choreography.states(time + EXPOSURE)
        motions = np.array([self._middle(b) - self._middle(a) for a, b in zip(states, later, strict=True)])
        return self._renderer.render(surfaces, motions, (self._seed, round(time * 1e6)))

    def truth(self, time: float) -> tuple[HandTruth, ...]:
        """Return every hand at `time` seconds, also those out of the picture."""
        states = self._choreography.states(time)
        posed = self._posed(states)
        surfaces = self._surfaces(states, posed)
        meshes = [(s.vertices, m.faces) for s, m in zip(surfaces, self._meshes, strict=True)]
        together = RayScene(meshes)
        return tuple(
            self._truth(i, state, hand, together, RayScene([mesh]))
            for i, (state, hand, mesh) in enumerate(zip(states, posed, meshes, strict=True))
        )

    def _posed(self, states: tuple[HandState, ...]) -> list[PosedHand]:
        return [self.model.pose(s.global_orient, s.hand_pose, s.betas, s.translation, s.side) for s in states]

    def _surfaces(self, states: tuple[HandState, ...], posed: list[PosedHand]) -> list[Surface]:
        return [m.pose(p.vertices, s) for m, p, s in zip(self._meshes, posed, states, strict=True)]

    def _middle(self, state: HandState) -> Array:
        """Return the pixel (2,) of the wrist, which stands for the whole hand's motion."""
        return self.camera.project(state.wrist)

    def _in_picture(self, points: Array) -> NDArray[np.bool_]:
        pixels = self.camera.project(points)
        return np.asarray(((pixels >= 0) & (pixels < self._size)).all(-1))

    def _truth(self, i: int, state: HandState, posed: PosedHand, together: RayScene, alone: RayScene) -> HandTruth:
        gap, owner = _before(together, posed.joints)
        joints_in_picture = self._in_picture(posed.joints)
        visible_joints = joints_in_picture & ((gap == 0) | ((gap < self._flesh) & (owner == i)))
        shown = _before(alone, posed.vertices)[0] < ON_SURFACE
        seen = shown & (_before(together, posed.vertices)[0] < ON_SURFACE) & self._in_picture(posed.vertices)
        visibility = float(seen.sum() / shown.sum())
        mirror = MIRROR if state.side == "left" else np.eye(3)
        palm = mirror @ palm_basis(posed.joints @ mirror)[:, 2]
        facing = float(-palm @ state.wrist / np.linalg.norm(state.wrist))
        return HandTruth(
            side=state.side, global_orient=state.global_orient, hand_pose=state.hand_pose, betas=state.betas,
            translation=state.translation, joints=posed.joints, vertices=posed.vertices,
            joints_2d=self.camera.project(posed.joints), visible_joints=visible_joints, visibility=visibility,
            palm_in_view=bool(facing > 0.25 and joints_in_picture[PALM_CORNERS].all() and visibility > 0.6),
        )  # fmt: skip

    def _flesh_before_joints(self, betas: Array) -> Array:
        """Return how far (21,) each joint may lie behind its own skin, metres.

        It is the resting hand's flesh there, towards the palm or the back, and a margin for slanting views. A tip lies
        on the skin and gets the thickness of its finger.
        """
        rest = self.model.rest_joints_21(betas)
        shaped = self.model.v_template + self.model.shapedirs @ betas
        outwards = np.tile(palm_basis(rest)[:, 2], (21, 1))
        outwards[list(MODEL_JOINTS_IN_21[1:])] = joint_axes(rest)[:, 1]
        flesh = np.maximum(*(_thickness(shaped, self.model.faces, rest, s * outwards) for s in (-1, 1)))
        flesh[TIPS] = 2 * flesh[[tip - 1 for tip in TIPS]]
        return np.asarray(1.3 * flesh)


def _thickness(vertices: Array, faces: NDArray[np.int64], points: Array, directions: Array) -> Array:
    """Return the metres (N,) from inner points to the surface in unit directions; 0 if there is none that way."""
    distance = RayScene([(vertices, faces)]).cast(directions, points).distance
    return np.where(np.isfinite(distance), distance, 0.0).astype(np.float64)


def _before(scene: RayScene, points: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return how far before each point (N, 3) the first surface stands, metres, 0 if none, and which mesh it is."""
    hits = scene.cast(points)
    share = np.minimum(hits.distance.astype(np.float64), 1.0)
    return (1 - share) * np.linalg.norm(points, axis=1), hits.mesh
