"""Hands are shown in other ways than their pictures show them, with truth that stays exact.

A crop is a square about the hand, moved, scaled, turned, mirrored where the hand is a left one, and recoloured. What is
true of the hand in its picture is taken along: points by the crop's matrix, and the hand in 3D with the camera, which
is turned about its optical axis as the crop is. That is what a perspective camera sees, wherever the crop lies.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from hamba_core.arrays import AnyFloats, Array
from hamba_core.hand import MIRROR, Side
from hamba_core.network import CROP_SIZE
from hamba_core.training.released import CropTruths
from hamba_core.view import square_around

_MOST_TURNS = 2.0  # deviations of the turn that are drawn at most; 1 of the others
_LEAST_LEFT = 0.5  # of the crop's side: a truncated hand's crop shows at least this much of what it would


@dataclass(frozen=True)
class Augmentation:
    """How much is changed. The defaults are the paper's; it cuts no hands off."""

    scale: float = 0.3
    """Deviation of the crop's side, as a share of it."""
    turn: float = math.radians(30)
    """Deviation of the turn, radians."""
    turn_rate: float = 0.6
    """Share of the crops that are turned."""
    shift: float = 0.02
    """Deviation of the shift along each side, as a share of the crop's side."""
    shift_rate: float = 0.5
    """Share of the crops that are shifted."""
    colour: float = 0.2
    """Each colour is multiplied by 1 less or more of this at most."""
    truncation_rate: float = 0.0
    """Share of the crops that show part of the hand only."""


NO_AUGMENTATION = Augmentation(0, 0, 0, 0, 0, 0, 0)
"""The crop as the network sees it when it is used."""


class CropChange(NamedTuple):
    """What is done to a crop."""

    scale: float = 1.0  # of its side
    turn: float = 0.0  # radians, of what is seen: positive from x to y
    shift: tuple[float, float] = (0.0, 0.0)  # of its middle, in shares of its side
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of red, green and blue


def draw_change(augmentation: Augmentation, random: np.random.Generator) -> CropChange:
    """Draw a change: normal numbers, cut at one deviation (turns at two), and even ones for colours."""
    scale = 1 + augmentation.scale * float(np.clip(random.normal(), -1, 1))
    turn = augmentation.turn * float(np.clip(random.normal(), -_MOST_TURNS, _MOST_TURNS))
    turn = turn if random.random() < augmentation.turn_rate else 0.0
    shift = augmentation.shift * np.clip(random.normal(size=2), -1, 1) * (random.random() < augmentation.shift_rate)
    red, green, blue = 1 + augmentation.colour * random.uniform(-1, 1, 3)
    part, aside = random.uniform(_LEAST_LEFT, 1), random.uniform(-1, 1, 2)
    if random.random() < augmentation.truncation_rate:
        scale, shift = scale * part, shift + aside / 2  # up to the crop's middle lies on its edge
    return CropChange(scale, turn, (float(shift[0]), float(shift[1])), (red, green, blue))


def crop_matrix(box: ArrayLike, side: Side, change: CropChange = CropChange(), size: int = CROP_SIZE) -> Array:  # noqa: B008
    """Return the matrix (2, 3) from a picture's pixels to those of the changed crop about a box.

    `box` is left, top, right, bottom, px. A left hand's crop is mirrored before it is turned.
    """
    square = square_around(box)
    zoom = size / (square.side * change.scale)
    c, s = math.cos(change.turn), math.sin(change.turn)
    linear = zoom * np.array([[c, -s], [s, c]]) @ (MIRROR[:2, :2] if side == "left" else np.eye(2))
    middle = np.array([square.x, square.y]) + np.array(change.shift) * square.side
    return np.column_stack([linear, np.full(2, size / 2) - linear @ middle])


def cut_turned(
    picture: Tensor,
    T_crop_picture: Array,
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0),
    size: int = CROP_SIZE,
) -> Tensor:
    """Cut a crop (3, size, size), float32, 0..255, out of a picture (3, H, W) of any type.

    Pixels have their origin at the picture's corner. The crop's pixel i shows what is at i, as in the crops that the
    network is given in use (`hamba_core.view.cut_crops`). Outside the picture is black. Where the crop is much smaller
    than what it shows, the picture is averaged first.
    """
    shrink = max(int(1 / math.sqrt(abs(np.linalg.det(T_crop_picture[:, :2])))), 1)
    to_picture = np.linalg.inv(np.vstack([T_crop_picture, (0, 0, 1)]))[:2]
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ to_picture.T
    height, width = picture.shape[1:]
    # Only what the crop shows is converted and averaged.
    left, top = (
        int(np.clip(math.floor(v) - shrink, 0, n - 1)) for v, n in zip(corners.min(0), (width, height), strict=True)
    )
    right, bottom = (
        int(np.clip(math.ceil(v) + shrink, 1, n)) for v, n in zip(corners.max(0), (width, height), strict=True)
    )
    part = picture[:, top : max(bottom, top + 1), left : max(right, left + 1)].float()
    to_part = to_picture - np.array([[0, 0, left], [0, 0, top]])
    if shrink > 1:
        pad_x, pad_y = -part.shape[2] % shrink, -part.shape[1] % shrink
        part = functional.avg_pool2d(functional.pad(part[None], (0, pad_x, 0, pad_y)), shrink)[0]
        to_part = to_part / shrink
    # affine_grid maps -1..1 over the crop to -1..1 over the part.
    half = size / 2
    to_unit = np.diag([2 / part.shape[2], 2 / part.shape[1]])
    theta = np.column_stack(
        [to_unit @ to_part[:, :2] * half, to_unit @ (to_part[:, :2] @ (half - 0.5, half - 0.5) + to_part[:, 2]) - 1]
    )
    grid = functional.affine_grid(torch.from_numpy(theta).float()[None], [1, 3, size, size], align_corners=False)
    crop = functional.grid_sample(part[None], grid, padding_mode="zeros", align_corners=False)[0]
    return (crop * torch.tensor(gains, dtype=torch.float32)[:, None, None]).clamp(0, 255)


class PictureTruth(NamedTuple):
    """What is known of one hand in its picture. What is not known is zero, and not counted."""

    side: Side
    joints_2d: AnyFloats  # (21, 2) px, joint order
    known_2d: AnyFloats  # (21,) 1 where a joint's place in the picture is known
    joints: AnyFloats  # (21, 3) m, in the picture's camera, joint order
    known: AnyFloats  # (21,) 1 where a joint's place is known
    global_orient: AnyFloats  # (3, 3); of a left hand the mirrored right one's, as the pose
    hand_pose: AnyFloats  # (15, 3, 3)
    betas: AnyFloats  # (10,)
    parameters_known: float = 0.0  # 1 where these three are known

    def box(self) -> Array:
        """Return the box (4,) about the joints whose places are known: left, top, right, bottom, px."""
        points = np.asarray(self.joints_2d, np.float64)[np.asarray(self.known_2d) > 0]
        return np.concatenate([points.min(0), points.max(0)])


def truth_in_crop(truth: PictureTruth, T_crop_picture: Array, size: int = CROP_SIZE) -> CropTruths:
    """Return what is true of the hand in a crop: `CropTruths` of one hand, without a batch's dimension."""
    linear = T_crop_picture[:, :2]
    in_crop = (truth.joints_2d @ linear.T + T_crop_picture[:, 2]) / size - 0.5
    inside = (np.abs(in_crop) <= 0.5).all(-1)
    zoom = math.sqrt(abs(np.linalg.det(linear)))
    turn = np.eye(3)
    turn[:2, :2] = linear / zoom @ (MIRROR[:2, :2] if truth.side == "left" else np.eye(2))
    mirrored = truth.joints @ (MIRROR if truth.side == "left" else np.eye(3))
    columns = (
        turn @ truth.global_orient, truth.hand_pose, truth.betas, mirrored @ turn.T, in_crop, truth.known_2d * inside,
        np.asarray(truth.known) * truth.known[0], truth.parameters_known,
    )  # fmt: skip
    return CropTruths(*(torch.tensor(np.asarray(column), dtype=torch.float32) for column in columns))
