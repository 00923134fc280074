"""What a viewer shows as in a mirror: hands and picture alike, on the screen alone.

A hand keeps its side, its name and its colour; what is published and recorded stays as it is.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from stages.packets import FrameMeta, FrameResult, Hand, HandTopology, Image

_MIRROR: Final = np.array([-1.0, 1.0, 1.0], np.float32)


def reflected_result(result: FrameResult) -> FrameResult:
    """Return the result with its camera, and its hands' joints and vertices, as in a mirror.

    It is for the screen: parameters and places in the picture are as they were.
    """
    return replace(result, frame=reflected_frame(result.frame), hands=tuple(map(_reflected_hand, result.hands)))


def reflected_frame(frame: FrameMeta) -> FrameMeta:
    """Return a frame whose camera takes points in a mirror to where they are in the mirrored picture."""
    return replace(frame, camera=replace(frame.camera, cx=frame.width - frame.camera.cx))


def reflected_picture(image: Image) -> Image:
    """Return a picture (H, W, 3) with left and right exchanged."""
    return np.ascontiguousarray(image[:, ::-1])


def reflected_topology(topology: HandTopology) -> HandTopology:
    """Return the faces as a mirror shows them: wound the other way, so that they look outward again."""
    return replace(topology, faces_right=topology.faces_right[:, ::-1], faces_left=topology.faces_left[:, ::-1])


def _reflected_hand(hand: Hand) -> Hand:
    return replace(hand, joints=hand.joints * _MIRROR, vertices=hand.vertices * _MIRROR)
