"""Linear layers for a CPU: weights in memory of their own, in the order that the faster matrix kernels read them in.

Weights are mapped from their file. The system may take a mapped file's pages from a process that was idle, a scene
without hands say, and the next hand waits for them; a process's own memory stays. So they are copied out of the file,
and on the way ordered for oneDNN's kernels, through the operators that torch.compile uses, where those are faster.
"""

import platform
import time
from collections.abc import Callable, Collection
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hamba_core.configuration import RELEASED, TOKEN_COLUMNS, TOKEN_ROWS
from hamba_core.precision import Linear

Shape = tuple[int, int]
"""Of a linear layer: numbers in, numbers out."""

_TRIALS = 6
_CLEARLY = 1.03
"""How many times as fast the one must be for the difference to be more than chance."""


class PackedLinear(nn.Module):
    """A linear layer for inference on a CPU, with an exact GELU after it if wished. Cannot be saved or trained.

    The weights are copied at the first call, `ordered` for oneDNN's kernels or as they are for torch's, and the layer's
    own ones are let go then.
    """

    def __init__(self, layer: Linear, rows: int, *, gelu: bool, ordered: bool = True) -> None:
        super().__init__()
        self.dtype, self.rows, self.gelu, self.ordered = layer.weight.dtype, rows, gelu, ordered
        self.plain: Tensor | None = layer.weight.detach()
        self.packed: Tensor | None = None
        self.bias = None if layer.bias is None else layer.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out) in the weight's dtype."""
        if self.plain is not None:
            order = torch.ops.mkldnn._reorder_linear_weight
            self.packed, self.plain = order(self.plain, self.rows) if self.ordered else self.plain.clone(), None
        if self.ordered:
            after = "gelu" if self.gelu else "none"
            y: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.packed, self.bias, after, [], "none")
            return y
        y = functional.linear(x.to(self.dtype), self.packed, self.bias)  # type: ignore[arg-type]  # set above
        return functional.gelu(y) if self.gelu else y


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this processor and this build of torch have the kernels for weights of this dtype."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (x86 and onednn and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class PackingChoice(NamedTuple):
    """What `hamba_core.load` is to pack: nothing, or all with layers of these shapes ordered for oneDNN; and why."""

    packed: Literal[False] | frozenset[Shape]
    reason: str


def choose_packing(device: torch.device, dtype: torch.dtype) -> PackingChoice:
    """Nothing on a GPU. On a CPU both kernels are tried out on a layer of each shape: a second or two.

    Which is faster depends on the processor: with AVX-512 oneDNN's are, by far; with AVX2 it is one here, one there.
    """
    if device.type != "cpu":
        return PackingChoice(False, f"device {device}")
    if not can_pack(dtype):
        return PackingChoice(frozenset(), f"oneDNN has no kernels of {dtype} for this processor")
    shapes = _released_shapes()
    ordered = frozenset(shape for shape in shapes if _gain(shape, dtype) > _CLEARLY)
    return PackingChoice(
        ordered, f"tried out here: oneDNN's are faster for {len(ordered)} of {len(shapes)} layer shapes"
    )


def _released_shapes() -> tuple[Shape, ...]:
    """Those of the released network's large layers."""
    backbone, decoder = RELEASED.backbone, RELEASED.joint_regressor
    wide, narrow, hidden = backbone.width, decoder.width, backbone.mlp_width
    return (
        (wide, 3 * wide), (wide, wide), (wide, hidden), (hidden, wide),
        (narrow, decoder.inner_width), (decoder.inner_width, narrow),
        (narrow, decoder.mlp_width), (decoder.mlp_width, narrow),
    )  # fmt: skip


def _gain(shape: Shape, dtype: torch.dtype) -> float:
    """How many times as fast oneDNN's kernel is for a hand's tokens, with the GELU of a layer that widens to an MLP."""
    rows, gelu = TOKEN_ROWS * TOKEN_COLUMNS, shape[1] == 4 * shape[0]
    with torch.inference_mode():
        layer, x = Linear(*shape).to(dtype), torch.randn(rows, shape[0]).to(dtype)
        plain, ordered = (PackedLinear(layer, rows, gelu=gelu, ordered=way) for way in (False, True))
        plain_s, ordered_s = _fastest(lambda: plain(x), lambda: ordered(x), trials=_TRIALS)
    return plain_s / ordered_s


def _fastest(*ways: Callable[[], object], trials: int) -> list[float]:
    """Seconds of the fastest of so many trials of each way, taken in turns after one that does not count."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(trials + 1):
        for way, of_way in zip(ways, times, strict=True):
            begin = time.perf_counter()
            way()
            of_way.append(time.perf_counter() - begin)
    return [min(of_way[1:]) for of_way in times]


def pack_linear_layers(network: nn.Module, rows: int, ordered: Collection[Shape] | None = None) -> None:
    """Replace every `Linear` in the network by a packed one; `rows` is the usual number of tokens at once.

    Those of these shapes are ordered for oneDNN, or all of them. A GELU that follows is taken into the layer before it.
    """
    for module in network.modules():
        for name, layer in list(module.named_children()):
            if isinstance(layer, Linear):
                gelu = name == "fc1" and isinstance(getattr(module, "act", None), nn.GELU)
                order = ordered is None or (layer.in_features, layer.out_features) in ordered
                setattr(module, name, PackedLinear(layer, rows, gelu=gelu, ordered=order))
                if gelu:
                    module.act = nn.Identity()
