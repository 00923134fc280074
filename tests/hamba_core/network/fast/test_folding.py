"""A folded network gives what it gave, in fewer operations."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import hamba_core
from hamba_core.network.fast.folding import FoldedGraphLayer
from hamba_core.network.hamba import Hamba


def crops(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, 256, 256, generator=torch.Generator().manual_seed(3))


class Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Operations that do something, by name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.names.append(func._schema.name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))


def operations(network: Hamba) -> list[str]:
    counted = Counted()
    with counted, torch.no_grad():
        network(crops())
    return counted.names


@pytest.mark.parametrize("state", [1, 4])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 5e-3)], ids=str)
def test_a_folded_network_gives_what_the_network_gives(
    make_release: Any, tmp_path: Path, dtype: torch.dtype, tolerance: float, state: int
) -> None:
    def unusual_norms(tensors: dict[str, Any]) -> None:
        for name, tensor in tensors.items():
            if name.endswith("running_mean"):
                tensor += torch.linspace(-1, 1, len(tensor))
            if name.endswith("running_var"):
                tensor *= torch.linspace(0.2, 5, len(tensor))

    release = make_release(tmp_path / "release", unusual_norms, state=state)
    with torch.inference_mode():
        expected = hamba_core.load(release, dtype=dtype, folded=False)(crops())
        found = hamba_core.load(release, dtype=dtype)(crops())
    for name in ("camera", "global_orient", "hand_pose", "betas", "vertices", "joints_2d"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=tolerance, atol=tolerance)


def test_nothing_that_depends_on_weights_alone_is_left_to_compute(tiny_release: Path) -> None:
    plain, folded = hamba_core.load(tiny_release, folded=False), hamba_core.load(tiny_release)
    before, after = operations(plain), operations(folded)
    assert {"native_batch_norm", "_native_batch_norm_legit_no_training"} & set(before)
    assert not [name for name in after if "batch_norm" in name or name in ("_softmax", "scatter", "neg")]
    assert len(after) < len(before)
    assert {type(layer) for layer in folded.gss_head.decoder.gcn_layers} == {FoldedGraphLayer}
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]


def test_attention_is_one_fused_operation_a_block(tiny_release: Path) -> None:
    network = hamba_core.load(tiny_release)
    attention = [name for name in operations(network) if "scaled_dot_product" in name]
    assert len(attention) == len(network.backbone.blocks)
