"""The four directions of SS2D, and the convolution before them."""

import pytest
import torch
from torch import nn

from hamba_core.network.configuration import DecoderConfiguration
from hamba_core.network.state_space.blocks import SS2D, VSSBlock
from hamba_core.network.state_space.convolution import depthwise_3x3_silu

SETTINGS = DecoderConfiguration(depths=(1,), width=16, state=4, dt_rank=1)


def random_ss2d(seed: int = 0, bias: bool = False) -> SS2D:
    module = SS2D(DecoderConfiguration(depths=(1,), width=16, state=4, dt_rank=1, convolution_bias=bias))
    random = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random) * 0.3
    return module.requires_grad_(False)


def swap_rows_and_columns(module: SS2D) -> None:
    """The same operator for a transposed map: directions 0 and 1, 2 and 3 change places, so do the kernel's axes."""
    order = [1, 0, 3, 2]
    for parameter in (module.x_proj_weight, module.dt_projs_weight, module.dt_projs_bias):
        parameter.data = parameter.data[order]
    for parameter in (module.A_logs, module.Ds):
        by_direction = parameter.data.view(4, -1, *parameter.shape[1:])
        parameter.data = by_direction[order].reshape(parameter.shape)
    module.conv2d.weight.data = module.conv2d.weight.data.mT.contiguous()


def test_scanning_a_transposed_map_with_exchanged_directions_gives_the_transposed_answer() -> None:
    module = random_ss2d()
    x = torch.randn(2, 5, 3, 16, generator=torch.Generator().manual_seed(1))
    expected = module(x)
    swap_rows_and_columns(module)
    torch.testing.assert_close(module(x.transpose(1, 2)), expected.transpose(1, 2), rtol=1e-4, atol=1e-5)


def test_every_direction_counts() -> None:
    x = torch.randn(1, 4, 3, 16, generator=torch.Generator().manual_seed(1))
    whole = random_ss2d()(x)
    for direction in range(4):
        module = random_ss2d()
        module.Ds.data.view(4, -1)[direction] += 1
        assert (module(x) - whole).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("direction", "earlier", "later"),
    [(0, (0, 2), (1, 0)), (1, (2, 0), (0, 1)), (2, (1, 0), (0, 2)), (3, (0, 1), (2, 0))],
)
def test_a_direction_carries_what_it_passed_and_nothing_else(
    direction: int, earlier: tuple[int, int], later: tuple[int, int]
) -> None:
    """0 goes row by row, 1 column by column, 2 and 3 back along the same ways."""
    module = random_ss2d()
    module.conv2d.weight.data[:] = 0
    module.conv2d.weight.data[:, :, 1, 1] = 1  # no neighbour's influence but the scan's
    module.Ds.data[:] = 0
    silent = [k for k in range(4) if k != direction]
    module.x_proj_weight.data[silent, module.splits[0] :] = 0
    x = torch.randn(1, 4, 3, 16, generator=torch.Generator().manual_seed(1))
    before = module(x)
    for changed, other, heard in ((earlier, later, True), (later, earlier, False)):
        moved = x.clone()
        moved[0, *changed] += 1
        difference = (module(moved) - before)[0, *other].abs().max()
        assert (difference > 1e-4) == heard


@pytest.mark.parametrize("bias", [False, True])
def test_on_one_column_the_convolution_of_width_3_is_the_3x3_convolution(bias: bool) -> None:
    module = random_ss2d(2, bias)
    x = torch.randn(2, 22, 1, 32, generator=torch.Generator().manual_seed(3))
    expected = nn.functional.silu(module.conv2d(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
    torch.testing.assert_close(depthwise_3x3_silu(x, module.conv2d), expected)


@pytest.mark.parametrize("shape", [(16, 12), (22, 1)])
def test_both_scans_give_the_same_block(shape: tuple[int, int]) -> None:
    block = VSSBlock(SETTINGS)
    random = torch.Generator().manual_seed(4)
    for parameter in block.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random) * 0.2
    x = torch.randn(2, *shape, 16, generator=random)
    found = block(x)
    block.op.scan_kernel = "reference"
    torch.testing.assert_close(found, block(x), rtol=1e-4, atol=1e-5)
