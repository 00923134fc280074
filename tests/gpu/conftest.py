"""The proofs of parity, and float32 that means float32."""

from collections.abc import Iterator

import pytest
import torch

from tests.hamba_core.conftest import make_parity_release, parity, parity_release

__all__ = ["make_parity_release", "parity", "parity_release"]


@pytest.fixture(autouse=True)
def _plain_float32() -> Iterator[None]:
    """No TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before
