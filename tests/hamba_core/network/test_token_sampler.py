"""The token sampler reads the feature map where the joints are."""

import torch
from torch import nn

from hamba_core.network.token_sampler import TokenSampler


def sampler() -> TokenSampler:
    """One whose filters pass everything on."""
    module = TokenSampler(3)
    module.filters = nn.Sequential(nn.Identity())
    return module


def place(row: float, column: float) -> list[float]:
    """Where in the crop, [-0.5, 0.5], the network looks for a cell of the 16 x 12 map: it spans 7/8 of the width."""
    return [7 / 8 * ((column + 0.5) / 12 - 0.5), (row + 0.5) / 16 - 0.5]


def test_a_joint_in_the_middle_of_a_cell_reads_that_cell() -> None:
    features = torch.randn(1, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    cells = [(0, 0), (15, 11), (7, 3), (2, 10)]
    tokens = sampler()(features, torch.tensor([[place(*cell) for cell in cells]]))
    expected = torch.stack([features[0, :, row, column] for row, column in cells], 1)
    torch.testing.assert_close(tokens[0], expected, rtol=1e-4, atol=1e-5)


def test_between_cells_it_interpolates() -> None:
    features = torch.randn(1, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    tokens = sampler()(features, torch.tensor([[place(4.25, 6)]]))
    expected = 0.75 * features[0, :, 4, 6] + 0.25 * features[0, :, 5, 6]
    torch.testing.assert_close(tokens[0, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_beside_the_map_the_border_is_read_and_above_it_nothing() -> None:
    features = torch.ones(1, 3, 16, 12)
    left, above = sampler()(features, torch.tensor([[[-0.5, 0.0], [0.0, -0.7]]]))[0].T
    border = sampler()(features, torch.tensor([[[-7 / 16, 0.0]]]))[0, :, 0]
    torch.testing.assert_close(left, border)
    torch.testing.assert_close(above, torch.zeros(3))
