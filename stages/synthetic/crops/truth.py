"""One training crop: a picture and all that is true of the hand in it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Sight(IntEnum):
    """Whether a joint can be seen."""

    VISIBLE = 0
    BEHIND_ITSELF = 1  # another part of the same hand or what it wears is in front
    COVERED = 2  # another hand or a thing is in front
    OUTSIDE = 3  # beyond the picture or the crop


@dataclass(frozen=True, eq=False)
class CropTruth:
    """What is true of a crop's right hand; the picture of a left one is mirrored before it is cropped.

    Joints are exact. So are the parameters where the hand that is drawn is the generic one. Where `mesh` is another,
    they are those of the generic hand that holds its joints the same way: rotations are exact, betas and translation
    are fitted, and the vertices that they give are some millimetres off.

    Its frame is the *crop's camera*: the picture's camera turned about its optical axis as the crop is turned, so that
    `camera` takes points of this frame straight to pixels of the crop (origin at its left top corner).
    """

    seed: int
    global_orient: Array  # (3, 3)
    hand_pose: Array  # (15, 3, 3) rotations of the generic hand's joints
    betas: Array  # (10,)
    translation: Array  # (3,) m
    joints: Array  # (21, 3) m
    joints_2d: Array  # (21, 2) px of the crop
    sight: NDArray[np.uint8]  # (21,) a `Sight` for each joint
    camera: Array  # (4,) px of the crop: fx, fy, cx, cy
    picture_camera: Array  # (4,) px of the picture: fx, fy, cx, cy
    picture_size: NDArray[np.int32]  # (2,) px: width, height
    T_crop_picture: Array  # (2, 3) pixels of the picture to pixels of the crop
    kind: str  # of pose
    scene: str  # "alone", "holding", "hands" or "covered"
    view: str  # kind of camera
    mesh: str  # the hand that is drawn: "generic" or "second"

    @property
    def visible(self) -> NDArray[np.bool_]:
        """Which joints (21,) can be seen."""
        return np.asarray(self.sight == Sight.VISIBLE)


@dataclass(frozen=True, eq=False)
class TrainingCrop:
    """A picture, RGB, and the truth."""

    image: NDArray[np.uint8]  # (size, size, 3)
    truth: CropTruth
