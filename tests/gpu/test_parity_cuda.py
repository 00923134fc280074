"""On CUDA: equal to the released network, as on the CPU, and so are the crops."""

import gc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import hamba_core
from hamba_core.view import cut_batch
from tests.hamba_core.network.test_parity import TOLERANCE, answers, relative_errors, vertex_error

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

CUDA = torch.device("cuda")
PARITY_RELEASE = Callable[[str], Path]


def check_parity(release: Path, inputs: np.ndarray, expected: Path) -> None:
    """float32 within the tolerance of every array, bfloat16 within 2 mm of every vertex."""
    crops = torch.from_numpy(inputs).to(CUDA)
    errors = relative_errors(answers(hamba_core.load(release, device=CUDA), crops), expected)
    assert max(errors.values()) < TOLERANCE, errors
    gc.collect()
    reduced = hamba_core.load(release, device=CUDA, dtype=torch.bfloat16)
    assert vertex_error(answers(reduced, crops), expected) < 2e-3


def test_mini_is_equal_to_the_release(
    parity: Path, parity_release: PARITY_RELEASE, make_parity_release: ModuleType
) -> None:
    check_parity(parity_release("mini"), make_parity_release.inputs(0), parity / "mini" / "expected.npz")


@pytest.mark.slow
def test_full_is_equal_to_the_release(
    parity: Path, parity_release: PARITY_RELEASE, make_parity_release: ModuleType
) -> None:
    """Needs about 7 GB of memory and 3 GB of disk."""
    check_parity(parity_release("full"), make_parity_release.inputs(0), parity / "full" / "expected.npz")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_crops_cut_on_the_device_are_the_releases(
    parity: Path, make_parity_release: ModuleType, dtype: torch.dtype
) -> None:
    expected = np.load(parity / "crops.npz")
    squares = [hamba_core.square_around(box) for box in make_parity_release.BOXES]
    # The release takes a box's numbers for the positions of pixels' middles.
    placed = torch.tensor([(s.x + 0.5, s.y + 0.5, s.side) for s in squares], device=CUDA)
    mirrored = torch.tensor([side == "left" for side in make_parity_release.SIDES], device=CUDA)
    which = torch.zeros(len(squares), dtype=torch.long, device=CUDA)
    mean, std = (torch.tensor(values, device=CUDA) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    photo = torch.tensor(make_parity_release.photo(), device=CUDA)[None]
    crops = cut_batch(photo, placed, mirrored, which, mean, std, dtype).cpu().numpy()
    difference = np.abs(crops - expected["crops"].astype(np.float32))
    assert difference.mean((1, 2, 3)).max() < 0.01
    assert (difference < 0.05).mean((1, 2, 3)).min() >= 0.99
