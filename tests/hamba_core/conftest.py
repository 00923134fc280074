"""The files that prove parity with the released network, where they stand beside the checkout."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PARITY = Path(__file__).parents[3] / "shared" / "parity"


@pytest.fixture(scope="session")
def parity() -> Path:
    """The folder of the proofs."""
    if not (PARITY / "make_release.py").is_file():
        pytest.skip(f"parity is proven with the files of {PARITY}, which are not there")
    return PARITY


@pytest.fixture(scope="session")
def make_parity_release(parity: Path) -> ModuleType:
    """The module that writes releases and their inputs."""
    spec = importlib.util.spec_from_file_location("make_release", parity / "make_release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def parity_release(make_parity_release: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """parity_release("mini" or "full") -> the folder of the release, written once."""
    made: dict[str, Path] = {}

    def release(size: str) -> Path:
        if size not in made:
            made[size] = tmp_path_factory.mktemp("parity") / size
            make_parity_release.write(size, made[size])
        return made[size]

    return release
