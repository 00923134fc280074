"""Crops: where they lie, how they are sampled, and that they are the release's."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from torch.fx.experimental.proxy_tensor import make_fx

from hamba_core.hand import Side
from hamba_core.view.camera import Intrinsics
from hamba_core.view.crop import cut_batch, cut_crops
from hamba_core.view.crop_matrices import crop_by_products
from hamba_core.view.full_camera import translation_in_picture
from hamba_core.view.square import Square, square_around

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IDENTITY: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def picture(height: int = 120, width: int = 160, seed: int = 0) -> torch.Tensor:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).astype(np.float64)
    smooth = np.stack([ndimage.zoom(noise[..., c], 8, order=1) for c in range(3)], -1)[:height, :width]
    return torch.tensor(smooth.round().astype(np.uint8))


def sampled(image: NDArray[np.float64], square: Square, side: Side) -> NDArray[np.float64]:
    """The definition: blur the whole picture, then sample it at 256 x 256 places, black outside."""
    step = square.side / 256
    if step / 2 > 1.1:
        sigma = (step / 2 - 1) / 2
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=4.0)
    steps = (np.arange(256) - 128) * step
    x = square.x - 0.5 + (steps if side == "right" else -steps)
    rows, columns = np.meshgrid(square.y - 0.5 + steps, x, indexing="ij")
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))  # beyond the border a sample fades to black over one pixel
    return np.stack(
        [ndimage.map_coordinates(padded[..., c], [rows + 1, columns + 1], order=1, mode="constant") for c in range(3)]
    )


@settings(max_examples=25, deadline=None)
@given(
    x=st.floats(-40, 200),
    y=st.floats(-40, 160),
    size=st.floats(4, 1500),
    side=st.sampled_from(["left", "right"]),
)
def test_a_crop_is_the_blurred_picture_sampled(x: float, y: float, size: float, side: Side) -> None:
    image, square = picture(), Square(x, y, size)
    found = cut_crops(image, [square], [side], **IDENTITY)[0].double().numpy() * 255
    np.testing.assert_allclose(found, sampled(image.double().numpy(), square, side), atol=2e-3)


@settings(max_examples=15, deadline=None)
@given(x=st.floats(0, 160), y=st.floats(0, 120), size=st.floats(10, 800))
def test_a_left_hands_crop_is_the_right_hands_crop_of_the_mirrored_picture(x: float, y: float, size: float) -> None:
    image = picture()
    left = cut_crops(image, [Square(x, y, size)], ["left"], MEAN, STD)
    right = cut_crops(image.flip(1), [Square(160 - x, y, size)], ["right"], MEAN, STD)
    torch.testing.assert_close(left, right, atol=1e-4, rtol=0)


def test_the_square_holds_the_enlarged_box_at_the_aspect_that_the_network_sees() -> None:
    assert square_around([10, 20, 40, 120]) == Square(25, 70, 200)  # a tall box: its height decides
    assert square_around([0, 0, 90, 60]) == Square(45, 30, 240)  # a wide one: its width spans 192 of 256
    assert square_around([0, 0, 90, 60], rescale=1.0) == Square(45, 30, 120)
    assert square_around([5, 5, 5, 5]).side > 0


def test_no_squares_make_no_crops() -> None:
    assert cut_crops(picture(), [], [], MEAN, STD).shape == (0, 3, 256, 256)


@settings(max_examples=25, deadline=None)
@given(
    squares=st.lists(
        st.tuples(st.floats(-40, 200, width=32), st.floats(-40, 160, width=32), st.floats(4, 1500, width=32)),
        min_size=1,
        max_size=3,
    ),
    data=st.data(),
)
def test_crops_by_products_are_crops_by_taps(squares: list[tuple[float, float, float]], data: st.DataObject) -> None:
    pictures = torch.stack([picture(), picture(seed=1)])
    mirrored = [data.draw(st.booleans()) for _ in squares]
    which = [data.draw(st.integers(0, 1)) for _ in squares]
    expected = [
        cut_crops(pictures[n], [Square(*square)], ["left" if mirror else "right"], **IDENTITY)
        for square, mirror, n in zip(squares, mirrored, which, strict=True)
    ]
    batch = torch.tensor(squares), torch.tensor(mirrored), torch.tensor(which)
    torch.testing.assert_close(crop_by_products(pictures, *batch) / 255, torch.cat(expected), atol=1e-5, rtol=0)
    half = crop_by_products(pictures, *batch, torch.float16)
    torch.testing.assert_close(half / 255, torch.cat(expected), atol=1e-3, rtol=0)
    together = cut_batch(pictures, *batch, torch.zeros(3), torch.ones(3))
    torch.testing.assert_close(together, torch.cat(expected), atol=0, rtol=0)


def test_crops_by_products_are_one_graph_of_fixed_shapes_without_a_look_at_numbers() -> None:
    batch = (
        torch.stack([picture(), picture(seed=1)]),
        torch.tensor([[80.0, 60, 100], [10, 20, 900]]),
        torch.tensor([True, False]),
        torch.tensor([1, 0]),
    )
    # Fake tensors have no numbers: whatever asks for one fails.
    graph = make_fx(lambda *given: crop_by_products(*given), tracing_mode="fake")(*batch)
    other = (batch[0].flip(0), batch[1].flip(0) + 5, batch[2].flip(0), batch[3])
    torch.testing.assert_close(graph(*other), crop_by_products(*other), atol=0, rtol=0)


def test_crops_are_the_releases(parity: Path, make_parity_release: ModuleType) -> None:
    expected = np.load(parity / "crops.npz")
    squares = [square_around(box) for box in make_parity_release.BOXES]
    np.testing.assert_allclose([s[:2] for s in squares], expected["box_center"], rtol=1e-6)
    np.testing.assert_allclose([s.side for s in squares], expected["box_size"], rtol=1e-6)
    # The release takes a box's numbers for the positions of pixels' middles.
    placed = [Square(s.x + 0.5, s.y + 0.5, s.side) for s in squares]
    photo, sides = torch.tensor(make_parity_release.photo()), make_parity_release.SIDES
    by_taps = cut_crops(photo, placed, sides, MEAN, STD)
    mirrored, which = torch.tensor([side == "left" for side in sides]), torch.zeros(len(sides), dtype=torch.long)
    by_products = crop_by_products(photo[None], torch.tensor(placed), mirrored, which)
    offset, scale = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    for crops in (by_taps, (by_products / 255 - offset) / scale):
        difference = np.abs(crops.numpy() - expected["crops"].astype(np.float32))
        assert difference.mean((1, 2, 3)).max() < 0.01
        assert (difference < 0.05).mean((1, 2, 3)).min() >= 0.99


def test_translations_are_the_releases(parity: Path, make_parity_release: ModuleType) -> None:
    expected = np.load(parity / "crops.npz")
    focal = float(expected["focal_length"])
    camera = Intrinsics(focal, focal, 1280 / 2, 720 / 2)
    for i, box in enumerate(make_parity_release.BOXES):
        found = translation_in_picture(
            expected["pred_cam"][i], square_around(box), make_parity_release.SIDES[i], camera
        )
        np.testing.assert_allclose(found, expected["cam_t_full"][i], rtol=1e-5, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    s=st.floats(0.3, 2),
    t_x=st.floats(-0.1, 0.1),
    t_y=st.floats(-0.1, 0.1),
    square=st.builds(Square, st.floats(0, 1280), st.floats(0, 720), st.floats(20, 1500)),
    side=st.sampled_from(["left", "right"]),
)
def test_the_hand_stands_in_the_picture_where_it_stands_in_the_crop(
    s: float, t_x: float, t_y: float, square: Square, side: Side
) -> None:
    camera = Intrinsics(900, 950, 600, 380)
    translation = translation_in_picture(np.array([s, t_x, t_y]), square, side, camera)
    # In the crop the model's origin appears t s / 2 crops from its middle; a left hand's crop is mirrored.
    sign = -1 if side == "left" else 1
    expected = [square.x + sign * t_x * s / 2 * square.side, square.y + t_y * s / 2 * square.side * 950 / 900]
    np.testing.assert_allclose(camera.project(translation), expected, rtol=1e-6, atol=1e-4)
    # A length at the hand's depth has the size that s says: one unit spans s / 2 of the crop.
    assert 900 / translation[2] == pytest.approx(s / 2 * square.side, rel=1e-6)
