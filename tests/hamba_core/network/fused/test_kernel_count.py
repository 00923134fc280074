"""How many kernels a batch of two hands takes at released size, counted without a GPU.

The rule: on tensors without numbers, every operation of torch's dispatcher counts as one kernel, but views and
allocations, which launch nothing; a library's attention and a convolution count as one; so does every Triton launch.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from hamba_core.hand import HandLayer, load_generic_hand
from hamba_core.network import RELEASED, Fusions, Hamba, fold, launching, reducible_parameters
from hamba_core.network.state_space import SS2D
from hamba_core.view.crop import cut_places
from stages.reconstruction.hamba import row_width, write_rows

pytest.importorskip("triton")

META = torch.device("meta")
ALLOCATIONS = {
    "empty",
    "empty_like",
    "new_empty",
    "empty_strided",
    "new_empty_strided",
    "detach",
    "lift_fresh",
    "_unsafe_view",
}


class Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what would be launched, by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: Counter[str] = Counter()

        def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
            self.names[f"triton {kernel.fn.__name__}"] += 1

        monkeypatch.setattr(launching, "launch", launch)
        monkeypatch.setattr("hamba_core.view.crop_kernels.launch", launch)

        def attention(q: Tensor, k: Tensor, v: Tensor, **_: Any) -> Tensor:
            # As torch does on a GPU: on other devices it may choose a composition of many operations.
            seen: Tensor = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[0]
            return seen

        # Autocast, which it switches off, does not know tensors without numbers.
        monkeypatch.setattr(HandLayer, "forward", HandLayer._pose)
        monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if not func.is_view and name not in ALLOCATIONS:
            self.names[name] += 1
        if func is torch.ops.aten.addmm.dtype_out:  # torch 2.11 knows it on CUDA, and not without
            return kwargs["out"]
        return func(*args, **(kwargs or {}))

    def of(self, work: Callable[[], Any]) -> tuple[int, Any]:
        """How many kernels the work takes, and what it gives."""
        before = self.names.total()
        with self:
            result = work()
        return self.names.total() - before, result


@pytest.fixture(scope="module")
def network() -> Hamba:
    """The released network in bfloat16, folded, with a hand that has pose correctives as MANO's, without numbers."""
    with torch.device("meta"):
        network = Hamba(RELEASED, load_generic_hand()).requires_grad_(False)
    for name in reducible_parameters(network):
        owner, _, leaf = name.rpartition(".")
        module = network.get_submodule(owner)
        setattr(module, leaf, nn.Parameter(getattr(module, leaf).to(torch.bfloat16), requires_grad=False))
    network.hand_layer.posedirs = torch.zeros(135, len(network.hand_layer.template))
    network.to(META).eval()
    fold(network)
    for module in network.modules():
        if isinstance(module, SS2D):
            module.scan_kernel = "triton"
    return network


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Kernels:
    return Kernels(monkeypatch)


def cut(fused: bool) -> Tensor:
    """Two hands of one picture."""
    pictures, out = (
        torch.empty(1, 480, 640, 3, dtype=torch.uint8, device=META),
        torch.empty(2, 3, 256, 256, device=META),
    )
    mean, std = torch.empty(3, device=META), torch.empty(3, device=META)
    cut_places(pictures, torch.empty(2, 5, device=META), mean, std, out, torch.float16, fused=fused)
    return out


@torch.no_grad()
def test_a_batch_of_two_hands_takes_at_most_450_kernels(network: Hamba, kernels: Kernels) -> None:
    rows = torch.empty(2, row_width(len(network.hand.v_template)), device=META)
    crop, crops = kernels.of(lambda: cut(fused=True))
    fused = network.fused_parts(Fusions())
    of_network, output = kernels.of(lambda: fused(crops))
    writing, _ = kernels.of(lambda: write_rows(output, rows))
    assert crop == 2
    assert crop + of_network + writing <= 450


@torch.no_grad()
def test_without_fused_kernels_it_takes_more_than_twice_as_many(network: Hamba, kernels: Kernels) -> None:
    rows = torch.empty(2, row_width(len(network.hand.v_template)), device=META)
    crop, crops = kernels.of(lambda: cut(fused=False))
    of_network, output = kernels.of(lambda: network(crops))
    writing, _ = kernels.of(lambda: write_rows(output, rows))
    assert 1000 < crop + of_network + writing < 1200


@torch.no_grad()
def test_a_block_of_the_backbone_takes_seven_kernels_and_a_vss_block_ten(network: Hamba, kernels: Kernels) -> None:
    fused, fusions = network.fused_parts(), Fusions()
    x = torch.empty(2, 192, 1280, device=META)
    assert kernels.of(lambda: network.backbone.blocks[0](x))[0] == 12
    x = torch.empty(2, 16, 12, 512, device=META)
    plain = kernels.of(lambda: network.joint_regressor.decoder.layers[0].blocks[0](x))[0]  # type: ignore[index, operator]
    assert plain == 21
    x = torch.empty(384, 1280, device=META)
    assert kernels.of(lambda: fused.backbone.blocks[0](x, 2, fusions))[0] == 7
    x = torch.empty(384, 512, device=META)
    assert kernels.of(lambda: fused.joint_regressor.blocks[0](x, (2, 16, 12), fusions))[0] == 10


@torch.no_grad()
def test_every_flag_but_two_saves_kernels(network: Hamba, kernels: Kernels) -> None:
    crops = torch.empty(2, 3, 256, 256, device=META)
    fused = network.fused_parts(Fusions())
    all_on, _ = kernels.of(lambda: fused(crops))
    for name in Fusions().names():
        if name not in ("crops", "split_products", "early_starts"):  # these do not change the number
            fused.fusions = Fusions().without([name])
            assert kernels.of(lambda: fused(crops))[0] > all_on, name
