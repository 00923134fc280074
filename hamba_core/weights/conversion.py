"""Convert a release once, to a file that loads in a fraction of the time."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from hamba_core.errors import HandModelError, OutputError, WeightsError
from hamba_core.hand import HandModel, arrays_of, load_generic_hand
from hamba_core.weights.loading import (
    WeightsFile,
    check_finite,
    hand_for,
    lay_out,
    open_weights,
    release_name,
    tensor_dtypes,
)
from hamba_core.weights.weights_file import BFLOAT16, HAND, ConvertedFile, Entry, write_converted


class Conversion(NamedTuple):
    """What a conversion wrote."""

    path: Path
    size: int  # bytes
    tensors: int  # of the network
    with_hand: bool
    configured_by: str


def convert_release(
    source: str | Path,
    to: str | Path,
    mano: str | Path | HandModel | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Conversion:
    """Convert a release's folder or checkpoint. The result is as private as the MANO file that goes into it.

    `mano` is the user's MANO file, folder or archive; without it, the one at its place in the release is taken along,
    if there is one. `progress` is told the share that is written, 0 to 1. A converted file that stands at `to` is
    replaced.

    Raises WeightsError, HandModelError, ConfigurationError, OutputError.
    """
    to = Path(to)
    _check_replaceable(to)
    weights = open_weights(Path(source))
    try:
        hand = hand_for(weights, mano)
    except HandModelError:
        if mano is not None:
            raise
        hand = None
    # Which hand model it is makes no difference to the tensors.
    network = lay_out(weights, hand or load_generic_hand())
    full, half = tensor_dtypes(network, torch.float32), tensor_dtypes(network, torch.bfloat16)
    shapes = weights.shapes()
    entries = [
        Entry(prefix + name, shapes[name], dtype, partial(_finite, weights, name, dtype))
        for prefix, dtypes in (("", full), (BFLOAT16, {n: d for n, d in half.items() if d == torch.bfloat16}))
        for name, dtype in ((release_name(name), dtype) for name, dtype in dtypes.items())
    ]
    for name, array in (arrays_of(hand) if hand else {}).items():
        tensor = torch.from_numpy(array.copy())
        entries.append(Entry(HAND + name, tensor.shape, tensor.dtype, tensor.clone))
    size = write_converted(to, entries, network.configuration, progress)
    return Conversion(to, size, len(full), hand is not None, weights.configured_by)


def _finite(weights: WeightsFile, name: str, dtype: torch.dtype) -> Tensor:
    tensor = weights.read({name: dtype})[name]
    check_finite(name, tensor, weights.path)
    return tensor


def _check_replaceable(path: Path) -> None:
    if not path.exists():
        return
    try:
        ConvertedFile(path)
    except WeightsError:
        raise OutputError(
            f"{path}: expected a new name or a file made by hamba weights import, found another file; it is left "
            "as it is; choose another name"
        ) from None
