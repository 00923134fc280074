"""Linear layers with their weights in the order that the processor's matrix kernels read them in.

oneDNN's kernels, through the operators that torch.compile uses for them. `docs/model.md` has what that gains.
"""

import platform

import torch
from torch import Tensor, nn

from hamba_core.precision import Linear


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


def can_pack() -> bool:
    """Whether this processor and this build of torch have the kernels."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return x86 and onednn and hasattr(torch.ops.mkldnn, "_linear_pointwise")


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
