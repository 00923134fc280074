"""A release with random weights, for users who have none and want to measure or to test: its hands are noise."""

from math import sqrt
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from hamba_core.hand import load_generic_hand
from hamba_core.network import RELEASED, DecoderConfiguration, Hamba, HambaConfiguration
from hamba_core.weights.loading import release_name, weights_of


def write_random_release(folder: Path, configuration: HambaConfiguration = RELEASED, seed: int = 0) -> Path:
    """Write checkpoint and configuration (3 GB at the released size); return the folder. It holds no MANO hand."""
    write_release(folder, configuration, random_tensors(configuration, seed))
    return folder


def random_tensors(configuration: HambaConfiguration = RELEASED, seed: int = 0) -> dict[str, Tensor]:
    """Return values for every tensor of such a network, by the release's names, that keep activations in bounds."""
    with torch.device("meta"):
        network = Hamba(configuration, load_generic_hand())
    random = torch.Generator().manual_seed(seed)
    return {release_name(name): _value(name, tensor, random) for name, tensor in weights_of(network).items()}


def write_release(folder: Path, configuration: HambaConfiguration, tensors: dict[str, Tensor]) -> None:
    """Write the files of a release around these tensors, as training left them."""
    (folder / "checkpoints").mkdir(parents=True)
    torch.save({"epoch": 0, "global_step": 1, "state_dict": tensors}, folder / "checkpoints" / "hamba.ckpt")
    model = {
        "IMAGE_SIZE": 256,
        "IMAGE_MEAN": list(configuration.mean),
        "IMAGE_STD": list(configuration.std),
        "BACKBONE": {"TYPE": "vit"},
        "DECODER_MAMBA": _decoder_settings(configuration.joint_regressor),
        "MANO_HEAD": {"TYPE": "mamba_gcn_decoder", **_decoder_settings(configuration.gss_head)},
    }
    settings = {"EXTRA": {"FOCAL_LENGTH": configuration.focal_length}, "MODEL": model}
    (folder / "model_config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))


def _value(name: str, tensor: Tensor, random: torch.Generator) -> Tensor:
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return torch.tensor(100)
    if leaf == "init_hand_pose":  # no rotation
        return torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(16)[None]
    if leaf == "init_cam":
        return torch.tensor([[0.9, 0.0, 0.0]])
    noise = torch.randn(tensor.shape, generator=random)
    if leaf in ("running_var", "Ds") or (leaf == "weight" and tensor.ndim == 1):
        return 1 + 0.1 * noise.abs()
    if tensor.ndim == 1:
        return 0.1 * noise
    inputs = tensor.shape[-2] if leaf == "W" else tensor[0].numel()
    # What is read out stays near the mean hand and camera.
    gain = 0.2 if ".readout." in name else 1.0
    value: Tensor = noise * (gain / sqrt(inputs))
    return value


def _decoder_settings(decoder: DecoderConfiguration) -> dict[str, Any]:
    return {
        "DIMS": [decoder.width] * len(decoder.depths),
        "EMBED_DIM": decoder.width,
        "DEPTHS": list(decoder.depths),
        "SSM_D_STATE": decoder.state,
        "SSM_DT_RANK": decoder.dt_rank,
        "SSM_RATIO": decoder.expansion,
        "SSM_CONV_BIAS": decoder.convolution_bias,
        "MLP_RATIO": decoder.mlp_ratio,
    }
