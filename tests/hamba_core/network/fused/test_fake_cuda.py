"""A batch as on a GPU, on torch's fake tensors of a CUDA device: shapes, dtypes and devices of every operation are
checked as there, and an operation that would read a number back, and so wait for the device, is an error."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hamba_core.hand import load_generic_hand
from hamba_core.network import Fusions, Hamba, HambaConfiguration, fold, launching, reducible_parameters
from hamba_core.network.configuration import BackboneConfiguration, DecoderConfiguration
from hamba_core.network.state_space import SS2D
from hamba_core.view.crop import cut_places
from stages.reconstruction.hamba import row_width, write_rows

pytest.importorskip("triton")

CUDA = torch.device("cuda", 0)
DECODER = DecoderConfiguration(depths=(1, 2), width=16, state=1, dt_rank=1)


class NothingFromTheHost(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """No operation takes a tensor of the host, which would be copied and waited for. A single number is none."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        copies = func._schema.name in ("aten::_to_copy", "aten::copy_")
        assert all(tensor.device == CUDA or (tensor.ndim == 0 and not copies) for tensor in tensors), func
        if func is torch.ops.aten.addmm.dtype_out:  # torch 2.11 knows it on CUDA, and not without
            return kwargs["out"]
        return func(*args, **(kwargs or {}))


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """A kernel takes its tensors by where they begin: they have to be on the device, and without gaps."""
    for argument in arguments:
        if isinstance(argument, Tensor):
            assert argument.device == CUDA
            assert argument.is_contiguous(), kernel.fn.__name__


def on_fake_device(module: nn.Module) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        fake = torch.empty(parameter.shape, dtype=parameter.dtype, device=CUDA)
        setattr(module, name, nn.Parameter(fake, requires_grad=False))
    for name, buffer in module.named_buffers(recurse=False):
        setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device=CUDA))


@pytest.fixture(params=[torch.bfloat16, torch.float32], ids=str)
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hamba]:
    monkeypatch.setattr(launching, "launch", launch)
    monkeypatch.setattr("hamba_core.view.crop_kernels.launch", launch)
    configuration = HambaConfiguration(DECODER, DECODER, BackboneConfiguration(32, 2, 128))
    network = Hamba(configuration, load_generic_hand()).requires_grad_(False).eval()
    for name in reducible_parameters(network):
        owner, _, leaf = name.rpartition(".")
        module = network.get_submodule(owner)
        reduced = getattr(module, leaf).to(request.param)
        setattr(module, leaf, nn.Parameter(reduced, requires_grad=False))
    fold(network)
    with FakeTensorMode(), torch.no_grad():
        network.apply(on_fake_device)
        yield network


def run(network: Hamba, batch: int, *, fused_crops: bool) -> None:
    """Pictures to rows, all of it on the device."""
    pictures = torch.empty(2, 120, 160, 3, dtype=torch.uint8, device=CUDA)
    places, crops = torch.empty(batch, 5, device=CUDA), torch.empty(batch, 3, 256, 256, device=CUDA)
    mean, std = torch.empty(3, device=CUDA), torch.empty(3, device=CUDA)
    rows = torch.empty(batch, row_width(len(network.hand.v_template)), device=CUDA)
    with NothingFromTheHost():  # type: ignore[no-untyped-call]
        cut_places(pictures, places, mean, std, crops, torch.float16, fused=fused_crops)
        write_rows(network(crops), rows)


@pytest.mark.parametrize("scan", ["associative", "triton"])
def test_the_plain_network_stays_on_the_device(network: Hamba, scan: Any) -> None:
    for module in network.modules():
        if isinstance(module, SS2D):
            module.scan_kernel = scan
    run(network, 2, fused_crops=False)


def test_the_fused_network_stays_on_the_device(network: Hamba) -> None:
    network.fused = network.fused_parts(Fusions())
    for batch in (1, 3):
        run(network, batch, fused_crops=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", Fusions().names())
def test_without_any_one_kernel_it_stays_there(network: Hamba, name: str) -> None:
    network.fused = network.fused_parts(Fusions().without([name]))
    run(network, 2, fused_crops=True)
