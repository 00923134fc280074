"""This module turns the network's answer for a crop into the real hand in the picture's camera."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hamba_core.hand import mirrored_points
from hamba_core.view import Square, translation_in_picture
from stages.packets import Frame, Hand, HandBox
from stages.reconstruction.hamba.engine import CropOutput
from stages.reconstruction.quality import picture_error, quality_of, translation_std

_LARGEST_CROP: Final = 8.0
"""In sizes of the picture."""


@dataclass(frozen=True, eq=False)
class View:
    """One hand in one frame."""

    place: int  # of the frame among those given at once
    number: int  # of the frame among all so far
    frame: Frame
    box: HandBox
    track_id: int
    square: Square

    @property
    def can_be_cut(self) -> bool:
        """Whether the crop is at most a few times as large as the picture."""
        meta = self.frame.meta
        return self.square.side <= _LARGEST_CROP * max(meta.width, meta.height)


def hand_in_picture(view: View, seen: CropOutput) -> Hand | None:
    """Return the real hand in the picture's camera; None if a part of it would not be in front of the camera."""
    camera, side = view.frame.meta.camera, view.box.side
    translation = translation_in_picture(seen.camera, view.square, side, camera)
    joints, vertices = (mirrored_points(points, side) + translation for points in (seen.joints, seen.vertices))
    if not (np.isfinite(vertices).all() and vertices[:, 2].min() > 0):
        return None
    joints_2d = camera.project(joints).astype(np.float32)
    error = picture_error(joints_2d, view.box)
    return Hand(
        track_id=view.track_id,
        side=side,
        score=view.box.score,
        box=view.box.box,
        global_orient=seen.global_orient,
        hand_pose=seen.hand_pose,
        betas=seen.betas,
        translation=translation.astype(np.float32),
        joints=joints.astype(np.float32),
        joints_2d=joints_2d,
        vertices=vertices.astype(np.float32),
        seen=not view.box.missed,
        quality=quality_of(view.box, error),
        translation_std=translation_std(translation, view.box, error, camera),
    )
