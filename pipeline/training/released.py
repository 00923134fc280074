"""Training of the released architecture: crops of 256 px in, the paper's losses and optimiser."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from hamba_core.errors import ConfigurationError
from hamba_core.hand import load_generic_hand
from hamba_core.network import CROP_SIZE, Hamba, HambaConfiguration
from hamba_core.training import CropTruths, ReleasedLossWeights, initialise, released_losses
from stages.synthetic.crops import Shard

_LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class ReleasedTraining:
    """The paper's optimiser, and which parts it leaves as they are."""

    steps: int = 170_000
    batch: int = 56
    learning_rate: float = 1e-5
    weight_decay: float = 1e-4
    freeze: tuple[str, ...] = ()  # parts by name, as "backbone"
    seed: int = 0
    bfloat16: bool = False  # mixed precision


def crop_batches(
    shard: Shard, configuration: HambaConfiguration, batch: int, seed: int
) -> Iterator[tuple[Tensor, CropTruths]]:
    """Normalised crops (B, 3, 256, 256) and their truths, for ever: every crop once an epoch, in a new order each."""
    random = np.random.default_rng(seed)
    mean, std = (np.array(value, np.float32) for value in (configuration.mean, configuration.std))
    while True:
        order = random.permutation(len(shard))
        for first in range(0, len(order) - batch + 1, batch):
            rows = order[first : first + batch].tolist()
            images = np.stack([cv2.resize(shard.image(row), (CROP_SIZE, CROP_SIZE)) for row in rows])
            pixels = (images.astype(np.float32) / 255 - mean) / std
            yield torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), _truths(shard, rows)


def train_released(
    network: Hamba,
    batches: Iterator[tuple[Tensor, CropTruths]],
    settings: ReleasedTraining,
    on_step: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
) -> None:
    """Train a network for so many steps. `on_step` is told each step's number and losses.

    Raises ConfigurationError for parts that are not there, or where nothing is left to train.
    """
    parameters = _trained(network, settings.freeze)
    optimiser = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    network.train()
    for step in range(1, settings.steps + 1):
        crops, truth = next(batches)
        optimiser.zero_grad()
        with torch.autocast(crops.device.type, torch.bfloat16, enabled=settings.bfloat16):
            output = network(crops)
        losses = released_losses(output, truth, ReleasedLossWeights())
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
        optimiser.step()
        on_step(step, {name: float(loss.detach()) for name, loss in losses.items()})
    network.eval()


def new_network(configuration: HambaConfiguration, seed: int = 0) -> Hamba:
    """One of first weights, for the generic hand."""
    network = Hamba(configuration, load_generic_hand())
    initialise(network, seed)
    return network


def _trained(network: Hamba, freeze: Sequence[str]) -> list[torch.nn.Parameter]:
    """The parameters of all parts but these, which need no gradients."""
    parts = {name for name, _ in network.named_children()}
    unknown = sorted(set(freeze) - parts)
    if unknown:
        raise ConfigurationError(f"freeze: expected parts of {', '.join(sorted(parts))}, found {', '.join(unknown)}")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.partition(".")[0] not in freeze)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not trained:
        raise ConfigurationError("freeze: expected something to be left to train, found every part frozen")
    return trained


def _truths(shard: Shard, rows: list[int]) -> CropTruths:
    columns = {name: torch.from_numpy(np.asarray(shard.arrays[name][rows], np.float32)) for name in _COLUMNS}
    size = shard.image(rows[0]).shape[0]
    joints_2d = columns["joints_2d"] / size - 0.5
    inside = (joints_2d.abs() <= 0.5).all(-1).float()
    return CropTruths(
        columns["global_orient"], columns["hand_pose"], columns["betas"], columns["joints"], joints_2d, inside
    )


_COLUMNS = ("global_orient", "hand_pose", "betas", "joints", "joints_2d")
