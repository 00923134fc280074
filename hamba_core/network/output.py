"""What the network answers, and how its parameters become that: the hand model, seen through the crop's camera."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hamba_core.hand import HandLayer
from hamba_core.network.configuration import CROP_SIZE
from hamba_core.network.heads import HandParameters


@dataclass(frozen=True, eq=False)
class HambaOutput:
    """Right hands as the crops show them: a left hand's crop is mirrored, and so is the hand here.

    `hamba_core.view.full_camera` takes it to the real hand in a picture's camera. All tensors are float32.
    """

    camera: Tensor  # (B, 3): s, t_x, t_y of the crop's weak-perspective camera
    translation: Tensor  # (B, 3) m, in the crop's camera, focal length `HambaConfiguration.focal_length`
    global_orient: Tensor  # (B, 3, 3)
    hand_pose: Tensor  # (B, 15, 3, 3), model order
    betas: Tensor  # (B, 10)
    joints: Tensor  # (B, 21, 3) m, joint order, without `translation`
    vertices: Tensor  # (B, V, 3) m, without `translation`
    joints_2d: Tensor  # (B, 21, 2), in [-0.5, 0.5] over the crop
    initial: "HambaOutput | None" = None
    """The joint regressor's own answer, whose `initial` is None. Fused kernels give it without vertices, V = 0."""


torch.export.register_dataclass(HambaOutput)  # so that torch.export knows what forward gives


def seen_through_crop(
    hand_layer: HandLayer, focal_length: float, parameters: HandParameters, initial: HambaOutput | None = None
) -> HambaOutput:
    """Pose the hand model and look at it through the crop's camera, whose focal length is that of a crop of 256 px."""
    rotations, betas, camera = parameters
    global_orient, hand_pose = rotations[:, 0], rotations[:, 1:]
    vertices, joints = hand_layer(global_orient, hand_pose, betas)
    depth = 2 * focal_length / (CROP_SIZE * camera[:, :1] + 1e-9)
    translation = torch.cat([camera[:, 1:], depth], 1)
    points = joints + translation[:, None]
    joints_2d = points[..., :2] / points[..., 2:] * (focal_length / CROP_SIZE)
    return HambaOutput(camera, translation, global_orient, hand_pose, betas, joints, vertices, joints_2d, initial)
