"""The hand model in torch: smplx's MANO layer, fed from a `HandModel`, whichever its origin."""

import contextlib
import io
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from hamba_core.hand_model import HandModel
from hamba_core.skeleton import JOINTS_FROM_MODEL, MODEL_PARENTS


class HandLayer(nn.Module):
    """Poses a batch of right hands; differentiable. `HandModel.pose` is the same computation in NumPy."""

    tips: Tensor  # (5,)
    joint_order: Tensor  # (21,)

    def __init__(self, model: HandModel) -> None:
        super().__init__()
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # smplx prints that the model has only ten shape directions, and warns of its own imports.
            warnings.simplefilter("ignore")
            from smplx import MANOLayer
            from smplx.utils import Struct

            data = Struct(
                v_template=model.v_template,
                shapedirs=model.shapedirs,
                posedirs=model.posedirs,
                J_regressor=model.j_regressor,
                kintree_table=np.array([MODEL_PARENTS, range(16)], np.int64),
                weights=model.weights,
                f=model.faces,
                hands_components=np.eye(45),
                hands_mean=np.zeros(45),
            )
            self.mano = MANOLayer(
                model_path="", data_struct=data, is_rhand=True, use_pca=False, flat_hand_mean=True, num_betas=10
            )
        self.register_buffer("tips", torch.tensor(model.tips), persistent=False)
        self.register_buffer("joint_order", torch.tensor(JOINTS_FROM_MODEL), persistent=False)

    def forward(self, global_orient: Tensor, hand_pose: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 3), (B, 15, 3, 3), (B, 10) -> vertices (B, V, 3) and joints (B, 21, 3), metres, right hand.

        The wrist of the shaped rest hand stays in place under `global_orient`.
        """
        out = self.mano(global_orient=global_orient[:, None], hand_pose=hand_pose, betas=betas)
        joints = torch.cat([out.joints, out.vertices[:, self.tips]], 1)[:, self.joint_order]
        return out.vertices, joints
