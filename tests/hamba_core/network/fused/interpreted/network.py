"""The fused network gives what the plain one gives, with every kernel of ours interpreted."""

from pathlib import Path

import torch

import hamba_core
from hamba_core.network.fused.fusions import Fusions


def test_the_fused_network_gives_what_the_network_gives(tiny_release: Path) -> None:
    network = hamba_core.load(tiny_release)
    crops = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    # The first three are cuBLAS's own, without a counterpart on a processor; kernels that start early are the GPU's.
    fused = network.fused_parts(Fusions().without(["residuals", "projections", "gelu", "early_starts"]))
    with torch.inference_mode():
        expected, found = network(crops), fused(crops)
    for name in ("camera", "global_orient", "hand_pose", "betas", "vertices", "joints_2d"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-5)
    assert found.initial is not None
    assert expected.initial is not None
    torch.testing.assert_close(found.initial.joints, expected.initial.joints, rtol=1e-4, atol=1e-5)
