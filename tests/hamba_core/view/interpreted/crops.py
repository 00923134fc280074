"""Crops cut by kernels are those cut by taps, in Triton's interpreter."""

import pytest
import torch

from hamba_core.view.crop import cut_crops
from hamba_core.view.crop_kernels import fused_crops
from hamba_core.view.square import Square


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize(
    ("square", "mirrored"),
    [
        ((20.3, 14.8, 30.0), False),  # inside, no blur
        ((3.0, 30.0, 90.0), True),  # over the border
        ((16.0, 12.0, 1400.0), False),  # so large that it is blurred over the whole picture
        ((-200.0, 5.0, 10.0), True),  # outside
        ((10.0, 10.0, 600.0), True),
    ],
    ids=str,
)
def test_crops_by_kernels_are_crops_by_taps(
    square: tuple[float, float, float], mirrored: bool, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (2, 24, 41, 3), dtype=torch.uint8, generator=generator)
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.25])
    expected = cut_crops(pictures[1], [Square(*square)], ["left" if mirrored else "right"], mean.tolist(), std.tolist())
    out = torch.empty(1, 3, 256, 256)
    fused_crops(pictures, torch.tensor([[*square, float(mirrored), 1.0]]), mean, std, out, dtype)
    tolerance = 1e-4 if dtype == torch.float32 else 5e-3  # in units of about a quarter of the range of grey
    torch.testing.assert_close(out, expected, rtol=0, atol=tolerance)


def test_hands_of_several_pictures_are_cut_at_once() -> None:
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randint(0, 256, (2, 20, 30, 3), dtype=torch.uint8, generator=generator)
    places = torch.tensor([[15.0, 10, 25, 0, 1], [10, 9, 40, 1, 0]])
    out = torch.empty(2, 3, 256, 256)
    fused_crops(pictures, places, torch.zeros(3), torch.ones(3), out)
    for place, crop in zip(places.tolist(), out, strict=True):
        x, y, side, mirrored, which = place
        sides = ["left" if mirrored else "right"]
        expected = cut_crops(pictures[int(which)], [Square(x, y, side)], sides, (0.0,) * 3, (1.0,) * 3)[0]  # type: ignore[arg-type]
        torch.testing.assert_close(crop, expected, rtol=0, atol=1e-5)
