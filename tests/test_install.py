"""What a wheel brings, and what runs without the packages of the extra `network`."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hamba_core.packages import EXTRAS

ROOT = Path(__file__).parents[1]
NETWORK = [package for package, extra in EXTRAS.items() if extra == "network"]

# SciPy looks into sys.modules for torch, so that a None there, which is how Python notes it, is not enough.
WITHOUT = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {NETWORK}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from pipeline.commands.cli import main
sys.argv[0] = "hamba"
main()
"""


def hamba_without_network(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, timeout=110, cwd=cwd, check=False
    )


@pytest.mark.parametrize("estimator", ["landmarks", "hamba-s"])
def test_hands_are_reconstructed_recorded_and_exported_without_torch(estimator: str, tmp_path: Path) -> None:
    scene = "synthetic:?width=320&height=240&seconds=1&fps=10&hands=1"
    done = hamba_without_network("run", scene, "--estimator", estimator, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = hamba_without_network("export", "out", "--to", "npz,glb,csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.suffix for path in (tmp_path / "out").iterdir()} >= {".mcap", ".npz", ".glb", ".csv", ".mp4"}


@pytest.mark.parametrize("arguments", [("run", "synthetic:", "--checkpoint", "hamba.ckpt"), ("train", "tiny")])
def test_what_needs_torch_says_what_brings_it(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "hamba.ckpt").write_bytes(b"not read")
    done = hamba_without_network(*arguments, cwd=tmp_path)
    assert (done.returncode, "pip install 'hamba-stream[network]'" in done.stderr) == (2, True), done.stderr


def test_the_wheel_has_all_that_runs_and_no_scripts_that_made_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(tree)], check=True)
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(tree)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True, timeout=110)
    (wheel,) = tmp_path.glob("hamba_stream-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tracked = subprocess.run(["git", "ls-files"], cwd=tree, capture_output=True, text=True, check=True).stdout
    folders = ("pipeline/", "stages/", "hamba_core/", "viewers/", "configs/")
    ours = {name for name in tracked.splitlines() if name.startswith(folders) and "/make/" not in name}
    assert ours - set(names) == set()
    assert [name for name in names if "/make/" in name or name.startswith(("tests/", "docs/"))] == []
