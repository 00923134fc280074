"""A hand with its forearm and all that it wears, posed in front of the camera."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hamba_core.hand import MIRROR, HandModel, PosedHand
from stages.synthetic.crops.draws import chance
from stages.synthetic.crops.figure.clothing import Outfit, band_mesh, ring_mesh, sleeve_mesh, watch_case
from stages.synthetic.crops.figure.forearm import Forearm
from stages.synthetic.crops.figure.skins import Places, SkinPainter, Tone
from stages.synthetic.crops.figure.surface import HandSurface
from stages.synthetic.crops.meshing import unit
from stages.synthetic.crops.noise import FloatArray, smooth
from stages.synthetic.crops.posing import Kinematics, Mesh, Thing
from stages.synthetic.crops.rendering import (
    Coarse,
    Owner,
    Painter,
    Part,
    Spot,
    any_colour,
    band_painter,
    cloth_painter,
    thing_painter,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stance:
    """Where a right hand is and how it is held; a left one is its mirror image."""

    angles: Array  # (15, 3) radians
    R_hand: Array  # (3, 3): the palm's axes as columns
    wrist: Array  # (3,) m
    elbow: Array  # (3,) unit


@dataclass(frozen=True, eq=False)
class Figure:
    """One hand's parameters and what is drawn of it, camera frame."""

    global_orient: Array  # (3, 3)
    hand_pose: Array  # (15, 3, 3)
    betas: Array  # (10,)
    translation: Array  # (3,) m
    posed: PosedHand
    parts: list[Part]


def make_figure(
    model: HandModel, surface: HandSurface, kinematics: Kinematics, betas: Array, stance: Stance, outfit: Outfit,
    tone: Tone, owner: Owner, rng: np.random.Generator,
) -> Figure:  # fmt: skip
    """Pose and dress a right hand."""
    R = stance.R_hand @ kinematics.R_rest_palm.T
    hand_pose = kinematics.hand_pose(stance.angles)
    translation = stance.wrist - model.rest_joints(betas)[0]
    posed = model.pose(R, hand_pose, betas, translation)
    forearm = Forearm(stance.wrist, stance.R_hand, stance.elbow)
    rest, rim = surface.rest(betas)
    vertices, normals = surface.pose(posed.vertices, forearm, rest)
    skin_painter = SkinPainter(model, betas, tone, rng)
    paint = _skin(skin_painter, surface)
    if outfit.glove is not None:
        paint = _gloved(paint, outfit.glove, surface, rng)
        if outfit.glove == "whole":
            covered = smooth(-0.07, -0.05, rest[:, 1])[:, None]
            vertices = vertices + normals * covered * rng.uniform(0.0005, 0.002)
    local = np.concatenate([rest, surface.rest_normals], 1).astype(np.float32)
    coarse = Coarse(surface.coarse, surface.coarse_faces, surface.edges)
    parts = [Part(vertices, normals, surface.faces, local, owner, outfit.glove is None, paint, coarse)]
    worn: Owner = "worn" if owner == "hand" else owner

    def wear(mesh: Mesh, painter: Painter) -> None:
        parts.append(part_of(mesh, worn, painter))

    if outfit.sleeve is not None:
        wear(sleeve_mesh(forearm, rim, outfit.sleeve, outfit.loose, rng), cloth_painter(rng))
    if outfit.watch is not None:
        wear(band_mesh(forearm, rim, outfit.watch, rng.uniform(0.012, 0.022), 0.002), band_painter(rng))
        wear(watch_case(forearm, rim, outfit.watch, rng).mesh(), thing_painter(rng))
    if outfit.bracelet is not None:
        for k in range(int(rng.integers(1, 4))):
            at = outfit.bracelet + 0.007 * k
            wear(band_mesh(forearm, rim, at, rng.uniform(0.002, 0.007), rng.uniform(0.001, 0.003)), band_painter(rng))
    if outfit.rings and outfit.glove is None:
        joints = (model.rest_joints_21(betas) - model.rest_joints(betas)[0]) @ kinematics.R_rest_palm
        for finger in outfit.rings:
            ring = ring_mesh(finger, rest, surface.weights, joints, vertices, rng)
            wear(ring, band_painter(rng))
    return Figure(R, hand_pose, betas, translation, posed, parts)


def part_of(mesh: Mesh, owner: Owner, painter: Painter) -> Part:
    """Return a mesh that is no skin, painted."""
    return Part(mesh.vertices, mesh.normals, mesh.faces, mesh.local.astype(np.float32), owner, False, painter)


def part_of_thing(thing: Thing, painter: Painter) -> Part:
    """Return a thing, painted."""
    return part_of(thing.mesh(), "thing", painter)


def mirrored(part: Part) -> Part:
    """Return the part in a mirror that flips x."""
    return Part(part.vertices @ MIRROR, part.normals @ MIRROR, part.faces[:, ::-1].copy(), part.local, part.owner,
                part.skin, part.paint, part.coarse)  # fmt: skip


def _skin(painter: SkinPainter, surface: HandSurface) -> Painter:
    def paint(spot: Spot) -> tuple[FloatArray, FloatArray]:
        answer = painter.paint(Places(spot.local[:, :3], unit(spot.local[:, 3:]), surface.bone_of_face[spot.faces]))
        return answer.colour, answer.gloss

    return paint


def _gloved(skin: Painter, kind: str, surface: HandSurface, rng: np.random.Generator) -> Painter:
    """Return the skin with a glove over it."""
    over = cloth_painter(rng)
    thin_colour, thin_gloss = any_colour(rng), float(rng.uniform(0.5, 2.5))
    bare_from = int(rng.integers(1, 3)) if kind == "fingerless" else 3
    thumb_too = chance(rng, 0.5)

    def paint(spot: Spot) -> tuple[FloatArray, FloatArray]:
        colour, gloss = skin(spot)
        bone = surface.bone_of_face[spot.faces]
        on = spot.local[:, 1] > -0.06
        on &= ((bone - 1) % 3 < bare_from) | (bone == 0) | ((bone > 12) & thumb_too)
        if kind == "thin":  # what is under it shows through
            light = colour.mean(1, keepdims=True) / max(float(colour.mean()), 1e-6)
            colour = np.where(on[:, None], thin_colour * (0.4 + 0.6 * light), colour)
            return colour.astype(np.float32), np.where(on, thin_gloss, gloss).astype(np.float32)
        cloth, cloth_gloss = over(spot)
        return np.where(on[:, None], cloth, colour), np.where(on, cloth_gloss, gloss)

    return paint
