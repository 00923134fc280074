"""How a hand's parameters become its mesh."""

from dataclasses import replace

import numpy as np

from hamba_core.hand import HandModel
from stages.packets import Hand


def with_mesh(hand: Hand, model: HandModel) -> Hand:
    """Return the hand with its vertices: those it has, or else its parameters posed by the model."""
    if len(hand.vertices):
        return hand
    orient, pose, betas, translation = (
        parameter.astype(np.float64) for parameter in (hand.global_orient, hand.hand_pose, hand.betas, hand.translation)
    )
    vertices = model.pose(orient, pose, betas, translation, hand.side).vertices
    return replace(hand, vertices=vertices.astype(np.float32))
