"""The proofs of parity, and float32 that means float32."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from hamba_core.network import plain_float32
from tests.hamba_core.conftest import make_parity_release, parity, parity_release

__all__ = ["make_parity_release", "parity", "parity_release"]


@pytest.fixture(autouse=True)
def _plain_float32() -> Iterator[None]:
    """Let float32 mean float32."""
    with plain_float32():
        yield


@contextmanager
def hidden_waits_are_errors() -> Iterator[None]:
    """Raise an error wherever an operation waits for the device without being asked to."""
    with warnings.catch_warnings():
        # Torch warns that the mode itself is a prototype.
        warnings.filterwarnings("ignore", message=".*[Ss]ynchronization debug mode.*")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
