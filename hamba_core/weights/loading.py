"""Loading makes a network that is ready to run out of files."""

import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from hamba_core.errors import ConfigurationError, DeviceError, HandModelError, WeightsError, first_line
from hamba_core.hand import HandModel, hand_of, read_mano
from hamba_core.network import BackboneConfiguration, Hamba, can_pack, fold, pack_linear_layers, reducible_parameters
from hamba_core.weights.checkpoint import ADVICE, CheckpointFile, check_archive, find_checkpoint, some
from hamba_core.weights.weights_file import ConvertedFile

WeightsFile = CheckpointFile | ConvertedFile

_RENAMED: Final = (
    ("joint_regressor.decoder.", "initRegression.dec_vssm."),
    ("joint_regressor.readout.", "initRegression."),
    ("token_sampler.", "gridSampleFeature."),
    ("gss_head.decoder.", "mano_head.dec_gcn_vssm."),
    ("gss_head.readout.", "mano_head."),
)
"""How this network's parts are called in a checkpoint, where it is otherwise."""

_BLOCK: Final = re.compile(r"(.+\.blocks\.\d+)\.")
"""A block of the transformer, the joint regressor or the GSS head in a tensor's name."""


def load(
    path: str | Path,
    mano: str | Path | HandModel | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    *,
    packed: bool = False,
    folded: bool = True,
) -> Hamba:
    """Return the network with its weights, ready for inference.

    `path` is a release's folder, its checkpoint, or a converted file. `mano` is the user's MANO file, folder or
    archive, or a hand read from it; without it, the hand in the converted file, or the one at its place in the release.
    `dtype` is that of the large matrix products, torch.float32 (the default, as the checkpoint has them) or
    torch.bfloat16; all else is float32. `packed` copies the weights of the blocks' linear layers, at the first call,
    into the order that oneDNN's kernels read; it is for a CPU only (`choose_packing` says whether it can do that), and
    such a network cannot be saved, moved, compiled or trained. `folded` computes once what depends on weights alone;
    such a network cannot be saved or trained.

    Raises WeightsError, HandModelError, ConfigurationError, DeviceError.
    """
    device, dtype = checked_device(device), _checked_dtype(dtype)
    if packed and not (device.type == "cpu" and can_pack(dtype)):
        raise ConfigurationError(
            f"packed weights: expected the device cpu and an x86 processor for which oneDNN has kernels of {dtype}, "
            f"found the device {device} and the processor {platform.machine()}; load them unpacked"
        )
    weights = open_weights(Path(path))
    network = lay_out(weights, hand_for(weights, mano))
    dtypes = tensor_dtypes(network, dtype)
    if packed:
        _fill_packed(network, weights, dtypes)
    else:
        _fill(network, weights, dtypes)
    if folded:
        fold(network)
    try:
        network.to(device)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{device}: expected room for the network's weights, found: {first_line(error)}; free some of its "
            "memory, or run on another device"
        ) from error
    network.use_scan()
    return network.eval()


def fill_backbone(network: Hamba, path: Path) -> None:
    """Give a network's backbone the weights of a checkpoint's: HaMeR's has one of the same kind.

    What else the checkpoint holds is not looked at. Raises WeightsError.
    """
    weights = open_weights(path)
    names = {f"backbone.{name}": tensor for name, tensor in network.backbone.state_dict().items()}
    found = weights.shapes()
    faults = [f"no {name}" for name in names if name not in found]
    faults += [
        f"{name} {found[name]}, not {tuple(tensor.shape)}"
        for name, tensor in names.items()
        if name in found and found[name] != tuple(tensor.shape)
    ]
    if faults:
        raise WeightsError(f"{path}: expected a backbone of this network's size, found {some(faults)}; {ADVICE}")
    tensors = weights.read(dict.fromkeys(names, torch.float32))
    for name, tensor in tensors.items():
        check_finite(name, tensor, path)
    network.backbone.load_state_dict({name.removeprefix("backbone."): tensor for name, tensor in tensors.items()})


def open_weights(path: Path) -> WeightsFile:
    """Open a release's folder, a checkpoint or a converted file, told apart by what is in it. Raises WeightsError."""
    path, converted = _find(path)
    return ConvertedFile(path) if converted else CheckpointFile(path)


def load_hand(path: str | Path) -> HandModel:
    """Return the hand model in these weights or beside them, without reading the weights themselves.

    `path` is a release's folder, its checkpoint, or a converted file. Raises WeightsError, HandModelError.
    """
    path, converted = _find(Path(path))
    if converted:
        return hand_for(ConvertedFile(path), None)
    check_archive(path, contents=False)
    return _hand_beside(path)


def hand_for(weights: WeightsFile, mano: str | Path | HandModel | None) -> HandModel:
    """Return the user's hand model: the one that is named, else the one in the weights or in their release.

    Raises HandModelError.
    """
    if isinstance(mano, HandModel):
        return mano
    if mano is not None:
        return read_mano(Path(mano))
    if arrays := weights.hand():
        return hand_of({name: tensor.numpy() for name, tensor in arrays.items()}, weights.path)
    return _hand_beside(weights.path)


def _find(path: Path) -> tuple[Path, bool]:
    """Return the file that a release's folder or a file's path names, and whether it is a converted one.

    Raises WeightsError.
    """
    path = find_checkpoint(path) if path.is_dir() else path
    try:
        with path.open("rb") as file:
            beginning = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path}: expected weights, found: {error.strerror}; {ADVICE}") from error
    return path, beginning[8:] == b"{"


def _hand_beside(path: Path) -> HandModel:
    """Return the hand model at its place in the release of these weights. Raises HandModelError."""
    release = path.absolute().parent.parent
    places = [folder / "data" / "mano" for folder in (release, release.parent)]
    for place in places:
        if (place / "MANO_RIGHT.pkl").is_file():
            return read_mano(place)
    raise HandModelError(
        f"{path}: expected a MANO hand with the weights, found none in the file nor in {places[0]}; name your "
        "MANO_RIGHT.pkl, from https://mano.is.tue.mpg.de (docs/model.md)"
    )


def lay_out(weights: WeightsFile, hand: HandModel) -> Hamba:
    """Return the network that the file describes, without numbers in its tensors yet.

    Raises WeightsError, naming them, if the file's tensors are not that network's.
    """
    shapes = weights.shapes()
    configuration = replace(weights.configuration, backbone=_backbone(shapes, weights.configuration.backbone))
    with torch.device("meta"):
        network = Hamba(configuration, hand).requires_grad_(False)
    network.origin = weights.origin
    expected = {release_name(name): tuple(tensor.shape) for name, tensor in weights_of(network).items()}
    _check_tensors(weights, expected)
    return network


def tensor_dtypes(network: Hamba, dtype: torch.dtype) -> dict[str, torch.dtype]:
    """Return the dtype of each of the network's tensors, if the large matrix products have this one."""
    reducible = reducible_parameters(network)
    return {name: dtype if name in reducible else tensor.dtype for name, tensor in weights_of(network).items()}


def release_name(name: str) -> str:
    """Return what a release calls this tensor of the network."""
    for ours, theirs in _RENAMED:
        if name.startswith(ours):
            name = theirs + name.removeprefix(ours)
            break
    return name.replace(".outnorms.", ".outnorm")


def checked_device(device: str | torch.device) -> torch.device:
    """Return a device that is there. Raises ConfigurationError, DeviceError."""
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise ConfigurationError(f"device: expected cpu or cuda, found {device!r}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device cuda: expected a GPU that torch can use, found none; use the device cpu")
    if device.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"device: expected cpu or cuda, found {device}")
    return device


def _checked_dtype(dtype: torch.dtype | None) -> torch.dtype:
    if dtype not in (None, torch.float32, torch.bfloat16):
        raise ConfigurationError(f"dtype: expected torch.float32 or torch.bfloat16, found {dtype}")
    return dtype or torch.float32


def _backbone(shapes: Mapping[str, tuple[int, ...]], default: BackboneConfiguration) -> BackboneConfiguration:
    """Return the backbone's width and depth as the tensors have them."""
    blocks = {int(match[1]) for name in shapes if (match := re.match(r"backbone\.blocks\.(\d+)\.", name))}
    position, hidden = shapes.get("backbone.pos_embed", ()), shapes.get("backbone.blocks.0.mlp.fc1.weight", ())
    width = position[-1] if len(position) == 3 else default.width
    if width % default.heads or blocks != set(range(len(blocks))):
        return default  # no network of this kind: the comparison of the tensors' shapes says so
    return replace(
        default,
        width=width,
        depth=max(blocks, default=default.depth - 1) + 1,
        mlp_width=hidden[0] if len(hidden) == 2 else default.mlp_width,
    )


def _check_tensors(weights: WeightsFile, expected: Mapping[str, tuple[int, ...]]) -> None:
    found = weights.shapes()
    common = sorted(found.keys() & expected.keys())
    faults = {
        "missing": sorted(expected.keys() - found.keys()),
        "unknown": sorted(found.keys() - expected.keys()),
        "of another shape": [f"{n} {found[n]}, not {expected[n]}" for n in common if found[n] != expected[n]],
    }
    if any(faults.values()):
        text = "; ".join(f"{len(names)} {fault}: {some(names)}" for fault, names in faults.items() if names)
        raise WeightsError(
            f"{weights.path}: expected the tensors of the network described by {weights.configured_by}, found {text}; "
            f"{ADVICE}"
        )


def weights_of(network: Hamba) -> dict[str, Tensor]:
    """Return the tensors that come out of a checkpoint: all but the hand model's."""
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("hand_layer.")}


def _fill(network: Hamba, weights: WeightsFile, dtypes: Mapping[str, torch.dtype]) -> None:
    """Give these tensors their numbers."""
    released = {release_name(name): dtype for name, dtype in dtypes.items()}
    tensors = weights.read(released)
    weights.drop(released)
    for name, tensor in tensors.items():
        check_finite(name, tensor, weights.path)
    for name in dtypes:
        _put(network, name, tensors.pop(release_name(name)))


def check_finite(name: str, tensor: Tensor, path: Path) -> None:
    """Raise WeightsError where a tensor of this file has numbers that are not finite."""
    # A sum is not finite where one of them is not, and takes a twentieth of the time of looking at each.
    if tensor.is_floating_point() and not tensor.sum().isfinite() and not tensor.isfinite().all():
        raise WeightsError(f"{path}: expected finite numbers, found others in {name}; get the checkpoint again")


def _fill_packed(network: Hamba, weights: WeightsFile, dtypes: Mapping[str, torch.dtype]) -> None:
    """Give these tensors their numbers, with packed linear layers.

    Each block has a mapping of the file for itself, which goes when its layers are packed.
    """
    reduced = torch.bfloat16 in dtypes.values()
    parts: dict[str, dict[str, torch.dtype]] = {}
    for name, dtype in dtypes.items():
        # In float32 layers are computed as convolutions, of which the GSS head's few tokens gain nothing.
        match = _BLOCK.match(name) if reduced or not name.startswith("gss_head.") else None
        parts.setdefault(match[1] if match else "", {})[name] = dtype
    _fill(network, weights, parts.pop(""))
    for part in parts:
        _fill(network, weights, parts[part])
        block = network.get_submodule(part)
        pack_linear_layers(block)
        for name, tensor in block.state_dict().items():
            _put(block, name, tensor.clone())  # what is not packed would keep the mapping


def _put(network: nn.Module, name: str, tensor: Tensor) -> None:
    """Give a tensor that was laid out its numbers."""
    owner, _, leaf = name.rpartition(".")
    module = network.get_submodule(owner)
    parameter = leaf in dict(module.named_parameters(recurse=False))
    setattr(module, leaf, nn.Parameter(tensor, requires_grad=False) if parameter else tensor)
