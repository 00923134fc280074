"""A trained network as the files of a release, which `load` and `hamba run --checkpoint` take."""

from pathlib import Path

from hamba_core.network import Hamba
from hamba_core.weights.loading import release_name, weights_of
from hamba_core.weights.random_release import write_release


def save_release(network: Hamba, folder: Path) -> None:
    """Write checkpoint and model configuration into a folder that is not there yet. The network is not folded."""
    tensors = {release_name(name): tensor.detach().cpu() for name, tensor in weights_of(network).items()}
    write_release(folder, network.configuration, tensors)
