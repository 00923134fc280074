"""Linear layers for a CPU: their weights are copied once into the order in which oneDNN's kernels read them.

Torch's own product of few tokens and a large matrix orders the weights anew at every call. Here that is done once,
through the operators that torch.compile uses; the copy also stays in memory, where a mapped file's pages may go.

Of oneDNN's kernels two can do it. In float32 a 1 x 1 convolution over a picture's tokens is the faster one, in bfloat16
a matrix product over the tokens of all pictures.
"""

import platform
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from hamba_core.network.configuration import TOKEN_COLUMNS, TOKEN_ROWS
from hamba_core.network.precision import Linear

_POINTWISE = ([0, 0], [1, 1], [1, 1], 1)
"""A convolution's padding, strides, dilation and groups, where it is a product for each token alone."""


_TOKENS = TOKEN_ROWS * TOKEN_COLUMNS

_WIDEST = 2560
"""Numbers of a token between the layers of an MLP: 192 tokens of them take 1 MB."""


class PackedLinear(nn.Module):
    """A linear layer for inference on a CPU, with an exact GELU after it if wished. It cannot be saved or trained.

    The weights are ordered at the first call, and the layer's own ones are let go then. The order is the one for the
    backbone's number of tokens a picture; with another number of them results are as right, and may be slow.
    """

    def __init__(self, layer: Linear, *, gelu: bool) -> None:
        super().__init__()
        self.dtype, self.after = layer.weight.dtype, "gelu" if gelu else "none"
        self.as_convolution = self.dtype == torch.float32
        self.plain: Tensor | None = layer.weight.detach()
        self.packed: Tensor | None = None
        self.bias = None if layer.bias is None else layer.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, ..., in) to (B, ..., out) in the weight's dtype."""
        if self.plain is not None:
            self.packed, self.plain = self._in_order(self.plain), None
        ops, x = torch.ops.mkldnn, x.to(self.dtype)
        if not self.as_convolution:
            y: Tensor = ops._linear_pointwise(x, self.packed, self.bias, self.after, [], "none")
            return y
        tokens = x.flatten(1, -2)[:, :, None].permute(0, 3, 1, 2)  # (B, in, tokens, 1)
        y = ops._convolution_pointwise(tokens, self.packed, self.bias, *_POINTWISE, self.after, [], "none")
        return y[..., 0].mT.reshape(*x.shape[:-1], y.shape[1])

    def _in_order(self, weight: Tensor) -> Tensor:
        """Return the weights (out, in) as the kernel reads them."""
        ordered: Tensor
        if self.as_convolution:
            kernel, pictures = weight[:, :, None, None], [1, weight.shape[1], _TOKENS, 1]
            ordered = torch.ops.mkldnn._reorder_convolution_weight(kernel, *_POINTWISE, pictures)
        else:
            ordered = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _TOKENS)
        return ordered


class PackedMlp(nn.Module):
    """Two linear layers with a GELU between them, for inference on a CPU, by parts of what is between them.

    All of the backbone's 5120 numbers of 192 tokens are more than a core's cache holds: the second layer would fetch
    them anew for each few of its outputs.
    """

    def __init__(self, first: Linear, second: Linear, parts: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        ends = [len(first.weight) * number // parts for number in range(parts + 1)]
        for begin, end in pairwise(ends):
            expand = _part(first, slice(begin, end), slice(None))
            reduce = _part(second, slice(None), slice(begin, end), bias=begin == 0)  # it is added once
            self.layers += [PackedLinear(expand, gelu=True), PackedLinear(reduce, gelu=False)]

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, ..., in) to (B, ..., out), float32: the parts' sum is not rounded."""
        expand, reduce = self.layers[0::2], self.layers[1::2]
        x = x.to(cast(torch.dtype, expand[0].dtype))
        total: Tensor = reduce[0](expand[0](x)).float()
        for first, second in zip(expand[1:], reduce[1:], strict=True):
            total += second(first(x))
        return total


def _part(layer: Linear, outputs: slice, inputs: slice, *, bias: bool = True) -> Linear:
    """Return a layer that has some of another one's weights."""
    bias = bias and layer.bias is not None
    with torch.device("meta"):
        part = Linear(1, 1, bias=bias)
    part.weight = nn.Parameter(layer.weight[outputs, inputs], requires_grad=False)
    if bias:
        part.bias = nn.Parameter(layer.bias[outputs], requires_grad=False)
    return part


def can_pack(dtype: torch.dtype) -> bool:
    """Return whether this processor and this build of torch have the kernels for weights of this dtype."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (x86 and onednn and hasattr(torch.ops.mkldnn, "_convolution_pointwise")):
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class PackingChoice(NamedTuple):
    """Whether `hamba_core.load` is to pack, and why."""

    packed: bool
    reason: str


def choose_packing(device: torch.device, dtype: torch.dtype) -> PackingChoice:
    """Pack on a CPU that has the kernels: `hamba bench model` measures what that gains."""
    if device.type != "cpu":
        return PackingChoice(False, f"device {device}")
    if not can_pack(dtype):
        return PackingChoice(False, f"oneDNN has no kernels of {dtype} for this processor")
    return PackingChoice(True, "oneDNN's kernels, weights ordered for them once")


def pack_linear_layers(network: nn.Module) -> None:
    """Replace every `Linear` in the network by a packed one. A GELU that follows is taken into the layer before it."""
    for module in network.modules():
        for name, layer in list(module.named_children()):
            if (wide := _wide_mlp(layer)) is not None:
                setattr(module, name, PackedMlp(*wide, parts=-(-len(wide[0].weight) // _WIDEST)))
            elif isinstance(layer, Linear):
                gelu = name == "fc1" and isinstance(getattr(module, "act", None), nn.GELU)
                setattr(module, name, PackedLinear(layer, gelu=gelu))
                if gelu:
                    module.act = nn.Identity()


def _wide_mlp(module: nn.Module) -> tuple[Linear, Linear] | None:
    """Return the layers of an MLP in bfloat16 that is faster by parts; None of any other module."""
    first, second = (getattr(module, name, None) for name in ("fc1", "fc2"))
    if not (isinstance(first, Linear) and isinstance(second, Linear) and isinstance(module.act, nn.GELU)):
        return None
    return (first, second) if first.weight.dtype == torch.bfloat16 and len(first.weight) > _WIDEST else None
