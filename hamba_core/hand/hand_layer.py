"""The hand model in torch: the data of smplx's MANO layer, posed without waiting for the device."""

import contextlib
import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hamba_core.hand.hand_model import HandModel
from hamba_core.hand.kinematics import along_fingers
from hamba_core.hand.skeleton import JOINTS_FROM_MODEL, MODEL_PARENTS


def smplx_layer(model: HandModel) -> Any:
    """Return smplx's `MANOLayer` that holds this model, in float32: the reference for `HandLayer`."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # smplx warns of its own imports, and prints that the model has only ten shape directions.
        warnings.simplefilter("ignore")
        from smplx import MANOLayer
        from smplx.utils import Struct

        data = Struct(
            v_template=model.v_template,
            shapedirs=model.shapedirs,
            posedirs=model.posedirs,
            J_regressor=model.j_regressor,
            kintree_table=np.array([MODEL_PARENTS, range(16)]),
            weights=model.weights,
            f=model.faces,
            hands_components=np.eye(45),
            hands_mean=np.zeros(45),
        )
        return MANOLayer(model_path="", data_struct=data, is_rhand=True, use_pca=False, flat_hand_mean=True)


class HandLayer(nn.Module):
    """It poses a batch of right hands; differentiable. `HandModel.pose` is the same computation in NumPy.

    smplx walks the joints one by one along parents that it reads back from the device, which stalls a GPU and keeps it
    from being captured in a CUDA graph or compiled in one piece. Here all fingers go outwards together, and
    nothing is read back. It computes in the dtype of its buffers (float32) under autocast too. It has no parameters,
    and nothing of it is in a state dict: a user's MANO data is never saved along.
    """

    template: Tensor  # (V * 3,)
    shapedirs: Tensor  # (10, V * 3)
    posedirs: Tensor | None  # (135, V * 3); none where a model has no correctives
    joint_template: Tensor  # (48,)
    joint_shapedirs: Tensor  # (10, 48)
    weights: Tensor  # (V, 16)
    tips: Tensor  # (5,)
    joint_order: Tensor  # (21,)

    def __init__(self, model: HandModel) -> None:
        super().__init__()
        layer = smplx_layer(model)
        regressor = layer.J_regressor.double()
        buffers = {
            "template": layer.v_template.reshape(-1),
            "shapedirs": layer.shapedirs.reshape(-1, 10).T.contiguous(),
            "posedirs": layer.posedirs if layer.posedirs.any() else None,
            # What the regressor gives of template and shape directions is the same for every hand.
            "joint_template": (regressor @ layer.v_template.double()).float().reshape(-1),
            "joint_shapedirs": (regressor @ layer.shapedirs.double().permute(2, 0, 1)).float().reshape(10, -1),
            "weights": layer.lbs_weights,
            "tips": torch.tensor(model.tips),
            "joint_order": torch.tensor(JOINTS_FROM_MODEL),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def keep_vertices(self, vertices: Sequence[int]) -> None:
        """Pose these vertices of the model alone from now on, after the five tips, and all joints."""
        kept = torch.cat([self.tips, torch.as_tensor(vertices, dtype=torch.long, device=self.tips.device)])
        self.template = self.template.view(-1, 3)[kept].flatten()
        self.shapedirs = self.shapedirs.view(10, -1, 3)[:, kept].flatten(1).contiguous()
        if self.posedirs is not None:
            self.posedirs = self.posedirs.view(135, -1, 3)[:, kept].flatten(1).contiguous()
        self.weights = self.weights[kept]
        self.tips = torch.arange(len(self.tips), device=self.tips.device)

    def forward(self, global_orient: Tensor, hand_pose: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Pose right hands: (B, 3, 3), (B, 15, 3, 3), (B, 10) -> vertices (B, V, 3) and joints (B, 21, 3), metres.

        The wrist of the shaped rest hand stays in place under `global_orient`.
        """
        with torch.autocast(global_orient.device.type, enabled=False):
            return self._pose(*(given.to(self.template.dtype) for given in (global_orient, hand_pose, betas)))

    def _pose(self, global_orient: Tensor, hand_pose: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        batch = betas.shape[0]  # not len(), which would pin it in an exported network
        shaped = self.template + betas @ self.shapedirs
        if self.posedirs is not None:
            identity = torch.eye(3, dtype=hand_pose.dtype, device=hand_pose.device)
            shaped = shaped + (hand_pose - identity).reshape(batch, -1) @ self.posedirs
        rest = (self.joint_template + betas @ self.joint_shapedirs).reshape(batch, 16, 3)
        along, places = zip(*along_fingers(global_orient, hand_pose, rest), strict=True)
        rotations = torch.cat([global_orient[:, None], torch.stack(along, 2).flatten(1, 2)], 1)
        positions = torch.cat([rest[:, :1], torch.stack(places, 2).flatten(1, 2)], 1)
        offsets = positions - (rotations @ rest[..., None])[..., 0]
        # The mean transforms' columns stand one after the other: three multiply-adds instead of V small products.
        transforms = torch.cat([rotations.transpose(2, 3).reshape(batch, 16, 9), offsets], 2)
        mean = self.weights @ transforms  # (B, V, 12)
        points = shaped.reshape(batch, -1, 3)
        vertices = mean[..., 9:]
        for axis in range(3):
            vertices = torch.addcmul(vertices, mean[..., 3 * axis : 3 * axis + 3], points[..., axis, None])
        joints = torch.cat([positions, vertices[:, self.tips]], 1)[:, self.joint_order]
        return vertices, joints
