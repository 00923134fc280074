"""Linear layers with their weights in the order that the processor's matrix kernels read them in.

oneDNN's kernels, through the operators that torch.compile uses for them. `docs/model.md` has what that gains.
"""

import platform
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hamba_core.configuration import RELEASED, TOKEN_COLUMNS, TOKEN_ROWS
from hamba_core.precision import Linear

_TRIALS = 8


class PackedLinear(nn.Module):
    """A linear layer for inference on a CPU, with an exact GELU after it if wished. Cannot be saved or trained.

    The weights are ordered at the first call, and the layer's own ones are let go then.
    """

    def __init__(self, layer: Linear, rows: int, gelu: bool) -> None:
        super().__init__()
        self.dtype, self.rows, self.gelu = layer.weight.dtype, rows, gelu
        self.plain: Tensor | None = layer.weight.detach()
        self.packed: Tensor | None = None
        self.bias = None if layer.bias is None else layer.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out) in the weight's dtype."""
        if self.packed is None:
            self.packed, self.plain = torch.ops.mkldnn._reorder_linear_weight(self.plain, self.rows), None
        after = "gelu" if self.gelu else "none"
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.packed, self.bias, after, [], "none")
        return y


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this processor and this build of torch have the kernels for weights of this dtype."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (x86 and onednn and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class PackingChoice(NamedTuple):
    """Whether weights are packed, and why."""

    packed: bool
    reason: str


def choose_packing(device: torch.device, dtype: torch.dtype) -> PackingChoice:
    """Packed where that is faster here, tried out on a block of the released backbone: about a second on a CPU.

    Which kernels are faster depends on the processor: with AVX-512 the packed ones are, by far; with AVX2 torch's own
    can be.
    """
    if device.type != "cpu":
        return PackingChoice(False, f"device {device}")
    if not can_pack(dtype):
        return PackingChoice(False, f"oneDNN has no kernels of {dtype} for this processor")
    width, hidden, tokens = RELEASED.backbone.width, RELEASED.backbone.mlp_width, TOKEN_ROWS * TOKEN_COLUMNS
    shapes = ((width, 3 * width), (width, width), (width, hidden), (hidden, width))
    with torch.inference_mode():
        plain = [Linear(*shape).to(dtype) for shape in shapes]
        packed = [PackedLinear(layer, tokens, gelu=layer.out_features == hidden) for layer in plain]
        inputs = [torch.randn(tokens, layer.in_features).to(dtype) for layer in plain]

        def run_plain() -> None:
            for layer, x in zip(plain, inputs, strict=True):
                y = layer(x)
                if layer.out_features == hidden:
                    functional.gelu(y)

        def run_packed() -> None:
            for layer, x in zip(packed, inputs, strict=True):
                layer(x)

        plain_s, packed_s = _fastest(run_plain, run_packed, trials=_TRIALS)
    ratio = plain_s / packed_s
    return PackingChoice(ratio > 1, f"packed weights are {ratio:.2f} times as fast as torch's on this processor")


def _fastest(*ways: Callable[[], None], trials: int) -> list[float]:
    """Seconds of the fastest of so many trials of each way, taken in turns after one that does not count."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(trials + 1):
        for way, of_way in zip(ways, times, strict=True):
            begin = time.perf_counter()
            way()
            of_way.append(time.perf_counter() - begin)
    return [min(of_way[1:]) for of_way in times]


def pack_linear_layers(network: nn.Module, rows: int) -> None:
    """Replace every `Linear` in the network by a packed one; `rows` is the usual number of tokens at once.

    A GELU that follows is taken into the layer before it.
    """
    for module in network.modules():
        for name, layer in list(module.named_children()):
            if isinstance(layer, Linear):
                gelu = name == "fc1" and isinstance(getattr(module, "act", None), nn.GELU)
                setattr(module, name, PackedLinear(layer, rows, gelu))
                if gelu:
                    module.act = nn.Identity()
