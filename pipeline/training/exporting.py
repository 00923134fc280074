"""From a trained network to what ONNX Runtime runs."""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from hamba_core.errors import OutputError
from hamba_core.network.small import FirstEstimate, HambaSmall, HandViews, sample_maps
from hamba_core.packages import needed_for

INPUTS: Final = (
    "fine", "middle", "coarse", "pooled", "places", "landmarks", "world", "focal_length",
    "first_rotations", "first_betas", "first_wrist",
)  # fmt: skip
OUTPUTS: Final = ("rotations", "betas", "wrist")

_OPSET = 18


class Exported(nn.Module):
    """The network from the maps on, with plain tensors in and out."""

    def __init__(self, network: HambaSmall) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, fine: Tensor, middle: Tensor, coarse: Tensor, pooled: Tensor, places: Tensor, landmarks: Tensor,
        world: Tensor, focal_length: Tensor, first_rotations: Tensor, first_betas: Tensor, first_wrist: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Do as `HandViews` says; `places` (B, 21, 2) in [-1, 1] are where in the crop tokens are sampled."""
        tokens = sample_maps([fine, middle, coarse], places)
        first = FirstEstimate(first_rotations, first_betas, first_wrist)
        hands = self.network.corrected(HandViews(tokens, pooled, coarse, landmarks, world, focal_length, first))
        return hands.rotations, hands.betas, hands.wrist


def example_inputs(network: HambaSmall, hands: int = 2, seed: int = 0) -> tuple[Tensor, ...]:
    """Made-up inputs of the right shapes, in the order of `INPUTS`."""
    random = torch.Generator().manual_seed(seed)
    backbone = network.configuration.backbone
    sides = [backbone.crop // (8 * 2**level) for level in range(len(backbone.maps))]
    maps = [torch.randn(hands, c, s, s, generator=random) for c, s in zip(backbone.maps, sides, strict=True)]
    joints = torch.rand(hands, 21, 3, generator=random) - 0.5
    return (
        *maps, torch.randn(hands, backbone.pooled, generator=random),
        2 * torch.rand(hands, 21, 2, generator=random) - 1,
        joints, 0.1 * joints, 3 + torch.rand(hands, generator=random), torch.eye(3).repeat(hands, 16, 1, 1),
        torch.randn(hands, 10, generator=random), torch.tensor([[0.0, 0.0, 0.5]]).repeat(hands, 1),
    )  # fmt: skip


def export_onnx(network: HambaSmall, path: Path) -> None:
    """Write the network for ONNX Runtime, for any number of hands. Raises DependencyError, OutputError."""
    with needed_for(f"{path.name}, an ONNX file"):
        import onnxscript  # noqa: F401
    exported = Exported(network).eval()
    exported.network.use_scan("associative")
    hands = torch.export.Dim("hands", min=1, max=1024)
    shapes = {name: {0: hands} for name in INPUTS}
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            partial = Path(folder) / path.name
            torch.onnx.export(
                exported, example_inputs(network, 3), partial, input_names=list(INPUTS), output_names=list(OUTPUTS),
                opset_version=_OPSET, dynamo=True, dynamic_shapes=shapes, external_data=False, verbose=False,
            )  # fmt: skip
            data = without_traces(partial.read_bytes())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error}; give a folder with room in it") from error
    finally:
        quiet.setLevel(level)


def without_traces(model: bytes) -> bytes:
    """Return an ONNX model without the notes that torch leaves at every node: paths of the machine it was made on."""
    import onnx

    read = onnx.load_model_from_string(model)
    parts: list[Any] = [read.graph, *read.functions]
    for part in parts:
        for node in part.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        part.ClearField("metadata_props")
        for value in part.value_info:
            value.ClearField("metadata_props")
    values: list[Any] = [*read.graph.input, *read.graph.output, *read.graph.initializer]
    for value in values:
        value.ClearField("metadata_props")
    stripped: bytes = read.SerializeToString(deterministic=True)
    return stripped
