"""How far a network's hands are from the truth on what is kept aside, and those of the first estimate."""

from dataclasses import dataclass

import numpy as np
import torch

from hamba_core.metrics import mpjpe, pa_mpjpe
from hamba_core.network.small import HambaSmall
from pipeline.training.table import HandTable

_TOGETHER = 256
_WELL_SEEN = 0.6  # share of joints
_SURE = 0.5  # presence
_MILLIMETRES = 1000.0


@dataclass(frozen=True)
class Scores:
    """Means over hands that can be seen well. Millimetres, and px of a crop."""

    hands: int
    pa_mpjpe: float
    mpjpe: float
    error_2d: float
    first_pa_mpjpe: float
    first_mpjpe: float
    world_pa_mpjpe: float
    """Of the hand-landmark network's own joints."""


@torch.inference_mode()
def score(network: HambaSmall, table: HandTable) -> Scores:
    """Score the network in the mode that it is in: put it into evaluation mode before."""
    half = network.configuration.backbone.crop / 2
    well = (table.columns["visible"] > _WELL_SEEN) & (table.columns["presence"] > _SURE)
    rows = well.nonzero()[:, 0] if well.any() else torch.arange(len(table))
    errors = []
    for some in torch.split(rows, _TOGETHER):
        views, truth = table.views(some), table.truths(some).hands
        output = network(views)
        _, first, _ = network.posed(views.first, views.focal_length)
        joints, found = truth.joints.numpy(), output.joints.numpy()
        world = views.world.numpy()
        errors.append(
            np.stack(
                [
                    pa_mpjpe(found, joints), mpjpe(found, joints),
                    (output.joints_2d - truth.joints_2d).norm(dim=-1).mean(1).numpy() * half / _MILLIMETRES,
                    pa_mpjpe(first.numpy(), joints), mpjpe(first.numpy(), joints), pa_mpjpe(world, joints),
                ], 1,
            )
        )  # fmt: skip
    means = _MILLIMETRES * np.concatenate(errors).mean(0)
    return Scores(len(rows), *(float(mean) for mean in means))
