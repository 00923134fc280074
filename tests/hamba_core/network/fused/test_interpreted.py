"""The fused kernels without a GPU: Triton's interpreter, which a process has from its beginning or not at all."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytest.importorskip("triton")

pytestmark = pytest.mark.skipif(
    version("triton").startswith("3.6.") and tuple(map(int, version("numpy").split(".")[:2])) >= (2, 4),
    reason="the interpreter of Triton 3.6 does not know NumPy 2.4, in loops whose ends are computed",
)

ROOT = Path(__file__).parents[4]
NETWORK, CROPS = Path(__file__).parent / "interpreted", ROOT / "tests" / "hamba_core" / "view" / "interpreted"


def run(*arguments: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "1200", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.timeout(1200)
def test_fused_kernels_give_what_their_references_give_for_a_few_shapes() -> None:
    run(NETWORK / "kernels.py", "--hypothesis-profile", "few")


@pytest.mark.timeout(1200)
def test_crops_of_two_pictures_are_cut_at_once() -> None:
    run(CROPS / "crops.py", "-k", "at_once")


@pytest.mark.slow
def test_fused_kernels_give_what_their_references_give_for_many_shapes() -> None:
    run(NETWORK / "kernels.py", NETWORK / "network.py", "--hypothesis-profile", "many")


@pytest.mark.slow
def test_crops_by_kernels_are_crops_by_taps() -> None:
    run(CROPS / "crops.py")
