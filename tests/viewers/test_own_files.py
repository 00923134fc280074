"""What a person keeps beside their script does not make it fail oddly."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("package", "line", "name"),
    [
        *(("viewers", "from viewers.client import HandClient", name) for name in ("stages", "hamba_core")),
        *(
            ("pipeline", "from pipeline import track_hands", name)
            for name in ("stages", "hamba_core", "viewers", "configs")
        ),
    ],
)
def test_a_file_of_ones_own_that_hides_a_package_is_named(tmp_path: Path, package: str, line: str, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("x = 1\n")
    script = tmp_path / "script.py"
    script.write_text(f"{line}\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: {package}: expected the package {name} of hamba-stream")
    assert f"{tmp_path / name}.py; rename it" in last
