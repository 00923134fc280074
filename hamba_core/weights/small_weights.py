"""The weights of a hamba-s: one safetensors file with the network's configuration in its header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from hamba_core.errors import ConfigurationError, OutputError, WeightsError, first_line
from hamba_core.hand import HandModel
from hamba_core.network.small import HambaSmall, SmallConfiguration
from hamba_core.untrusted import parse_json

_FORMAT: Final = "hamba-s 1"


def save_small(network: HambaSmall, path: Path, origin: Mapping[str, str]) -> None:
    """Write the weights, and what they come from into the file's header. Raises OutputError."""
    metadata = {**origin, "format": _FORMAT, "configuration": json.dumps(network.configuration.to_dict())}
    data = save({name: value.contiguous() for name, value in network.state_dict().items()}, metadata=metadata)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error}; give a folder with room in it") from error


def load_small(path: Path, hand: HandModel) -> HambaSmall:
    """Return the network with its weights, ready for inference, posing this hand. Raises WeightsError."""
    try:
        configuration = SmallConfiguration.from_dict(parse_json(small_origin(path)["configuration"]))
    except (KeyError, ValueError, ConfigurationError) as error:
        raise _no_weights(path, error) from error
    network = HambaSmall(configuration, hand)
    fill_small(network, path)
    return network.eval()


def fill_small(network: HambaSmall, path: Path) -> None:
    """Give a network these weights, which are of one with the same configuration. Raises WeightsError."""
    try:
        network.load_state_dict(load(path.read_bytes()))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _no_weights(path, error) from error


def small_origin(path: Path) -> dict[str, str]:
    """Return what the file's header says: the configuration, and where the weights come from. Raises WeightsError."""
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _no_weights(path, error) from error
    if metadata.get("format") != _FORMAT:
        raise _no_weights(path, ValueError(f"format {metadata.get('format')!r}"))
    return metadata


def _no_weights(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path}: expected weights of a hamba-s with this configuration, found: {first_line(error)}; hamba train makes "
        "them"
    )
