"""What a person keeps beside their script does not make it fail oddly."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["stages", "hamba_core"])
def test_a_file_of_ones_own_that_hides_a_package_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("x = 1\n")
    script = tmp_path / "script.py"
    script.write_text("from viewers.client import HandClient\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: viewers: expected the package {name} of hamba-stream")
    assert f"{tmp_path / name}.py; rename it" in last
