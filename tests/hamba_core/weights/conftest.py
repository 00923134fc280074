"""A converted file of a tiny network, for the tests of weights."""

from collections.abc import Callable
from pathlib import Path

import pytest

import hamba_core

MakeRelease = Callable[..., Path]


@pytest.fixture(scope="module")
def converted(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hamba_core.convert_release(tiny_release, tmp_path_factory.mktemp("converted") / "hamba.safetensors").path


def checkpoint_of(release: Path) -> Path:
    return release / "checkpoints" / "hamba.ckpt"
