"""The files that prove parity with the released network, where they stand beside the checkout."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
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
def parity_release(make_parity_release: ModuleType) -> Iterator[Callable[[str], Path]]:
    """parity_release("mini" or "full") -> the folder of the release, written once and removed at the end."""
    with TemporaryDirectory(prefix="hamba-parity-") as folder:

        def release(size: str) -> Path:
            path = Path(folder) / size
            if not path.exists():
                make_parity_release.write(size, path)
            return path

        yield release
