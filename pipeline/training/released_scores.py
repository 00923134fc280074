"""How far the released network's hands are from the truth on what is kept aside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hamba_core.metrics import mpjpe, pa_mpjpe
from hamba_core.network import CROP_SIZE, Hamba
from hamba_core.training import CropTruths
from pipeline.training.data_sets import HandSample, shown

_TOGETHER = 8
_MILLIMETRES = 1000.0


@dataclass(frozen=True)
class ReleasedScores:
    """Means over hands. Not a number where no hand has that truth."""

    hands: int
    pa_mpjpe: float  # mm, of hands whose joints are all known
    mpjpe: float  # mm, about the wrist
    error_2d: float  # px of the crop, of the joints that are known and in it


@torch.inference_mode()
def score_released(network: Hamba, samples: Sequence[HandSample]) -> ReleasedScores:
    """Look at the hands' crops, unchanged. The network is used as it is: put it into evaluation mode before."""
    device = network.gss_head.readout.init_cam.device
    errors, pixels = [], []
    for first in range(0, len(samples), _TOGETHER):
        crops, truths = zip(
            *(shown(sample, network.configuration) for sample in samples[first : first + _TOGETHER]), strict=True
        )
        truth = CropTruths(*(torch.stack(column) for column in zip(*truths, strict=True)))
        output = network(torch.stack(crops).to(device))
        found, true = output.joints.float().cpu().numpy(), truth.joints.numpy()
        whole = truth.joints_known.numpy().all(1)
        found, true = (points[whole] - points[whole, :1] for points in (found, true))
        errors.append(np.stack([pa_mpjpe(found, true), mpjpe(found, true)], 1))
        apart = (output.joints_2d.float().cpu() - truth.joints_2d).norm(dim=-1) * CROP_SIZE
        pixels.append(apart[truth.visible > 0].numpy())
    joints = _MILLIMETRES * np.concatenate(errors)
    return ReleasedScores(
        len(samples), *(_mean(column) for column in (joints[:, 0], joints[:, 1], np.concatenate(pixels)))
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
