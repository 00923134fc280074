"""Puts a scene together: whose hand, how it is held, what is with it, which camera, what light."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hamba_core.view import Intrinsics
from stages.synthetic.crops.cameras import View, any_view
from stages.synthetic.crops.companions import second_hand, things_before
from stages.synthetic.crops.draws import Draws, chance
from stages.synthetic.crops.figure import (
    Figure,
    MeshName,
    Stance,
    any_outfit,
    any_tone,
    hand_model,
    hand_surface,
    make_figure,
    mirrored,
    part_of_thing,
)
from stages.synthetic.crops.framing import square_around
from stages.synthetic.crops.posing import Kinematics, Thing, free_pose, grasp
from stages.synthetic.crops.rendering import Lights, Part, any_lights, thing_painter

Array = NDArray[np.float64]

SCENES = {"alone": 0.46, "holding": 0.22, "hands": 0.19, "covered": 0.13}
"""How often a hand is by itself, holds something, is with another, has something before it."""
NEAREST_JOINT = 0.1
"""Metres from the lens."""
IN_PICTURE = 14
"""Joints that are inside the picture, at least: a hand that is further out is not found."""
MOST_OF_PICTURE = 1.05
"""How much of the picture's shorter side a crop's side spans, at most: nearer hands are moved away."""
SMALLEST, LARGEST = 56.0, 224.0
"""Pixels along a crop's side in the picture that is drawn; larger ones are drawn as a camera of fewer pixels sees."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that is seen."""

    figure: Figure
    parts: list[Part]  # the figure's first
    lights: Lights
    camera: Intrinsics
    width: int  # px
    height: int
    kind: str  # of pose
    scene: str
    view: str
    mesh: MeshName


def compose(draws: Draws, mesh: MeshName = "generic") -> Scene:
    """Return the scene of one seed, with hands of this mesh."""
    model, surface = hand_model(mesh), hand_surface(mesh)
    rng = draws("person")
    betas = np.clip(rng.normal(0, 1, 10), -2.3, 2.3)
    kinematics = Kinematics(model, betas)
    scene = str(draws("scene").choice(list(SCENES), p=list(SCENES.values())))
    rng = draws("pose")
    held: Thing | None = None
    if scene == "holding":
        angles, held, kind = grasp(kinematics, rng)
    else:
        angles, kind = free_pose(kinematics, rng)
    view = any_view(draws("view"))
    palm_joints = kinematics.joints(angles[None])[0]
    stance = _in_view(palm_joints, angles, view, draws("place"))
    joints = palm_joints @ stance.R_hand.T + stance.wrist
    camera, width, height = _drawn_camera(view, joints, draws("resolution"))
    outfit, tone = any_outfit(draws("outfit")), any_tone(draws("tone"))
    figure = make_figure(model, surface, kinematics, betas, stance, outfit, tone, "hand", draws("figure"))
    parts = list(figure.parts)
    rng = draws("companions")
    if held is not None:
        parts.append(part_of_thing(held.moved(stance.R_hand, stance.wrist), thing_painter(rng)))
    if scene == "covered":
        parts += [part_of_thing(thing, thing_painter(rng)) for thing in things_before(joints, rng)]
    if scene == "hands":
        left, other_person = chance(rng, 0.85), chance(rng, 0.25)
        other_angles = angles if chance(rng, 0.3) else free_pose(kinematics, rng)[0]
        other = second_hand(kinematics, stance, other_angles, left, rng)
        if other is not None:
            own = any_outfit(rng), any_tone(rng)
            clothes, skin = own if other_person else (outfit, tone)
            second = make_figure(model, surface, kinematics, betas, other, clothes, skin, "other", draws("second"))
            parts += [mirrored(part) for part in second.parts] if left else second.parts
    return Scene(figure, parts, any_lights(draws("lights")), camera, width, height, kind, scene, view.kind, mesh)


def _in_view(palm_joints: Array, angles: Array, view: View, rng: np.random.Generator) -> Stance:
    """Put the hand's middle where the view wants it, nearer to the picture's middle if too much would be outside.

    Seven of ten are moved so far in that the whole crop is inside the picture, where it has room.
    """
    offsets = palm_joints @ view.R_hand.T
    offsets -= offsets.mean(0)
    middle = view.middle.copy()
    middle[2] += max(0.0, NEAREST_JOINT - float((offsets + middle)[:, 2].min()))
    size = np.array([view.width, view.height])
    middle *= max(1.0, square_around(view.camera.project(offsets + middle)).side / (MOST_OF_PICTURE * size.min()))
    if chance(rng, 0.7):
        room = np.minimum(0.65 * square_around(view.camera.project(offsets + middle)).side, size / 2)
        inside = np.clip(view.camera.project(middle), room, size - room)
        middle[:2] = view.camera.rays(inside)[:2] * middle[2]
    for _ in range(12):
        pixels = view.camera.project(offsets + middle)
        if ((pixels > 0) & (pixels < size)).all(1).sum() >= IN_PICTURE:
            break
        middle[:2] *= 0.85
    return Stance(angles, view.R_hand, middle + offsets[0], view.elbow)


def _drawn_camera(view: View, joints: Array, rng: np.random.Generator) -> tuple[Intrinsics, int, int]:
    """Return the camera with as many pixels as are worth drawing: width and height, px, and its intrinsics."""
    side = square_around(view.camera.project(joints)).side
    largest = rng.uniform(0.75, 1.0) * LARGEST
    scale = float(np.clip(side, SMALLEST, largest)) / side
    width, height = max(8, round(view.width * scale)), max(8, round(view.height * scale))
    return view.camera.scaled(scale, scale), width, height
