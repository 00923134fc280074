"""The Python in README and docs runs as it stands there, on a short clip and two photographs."""

import re
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import av
import pytest
from PIL import Image as PILImage

ROOT = Path(__file__).parents[1]
FRAMES = 12
LONGEST_EXAMPLE = 40


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def folder(short_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `clip.mp4` and, of two of its frames, `photos/`."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copy(short_clip, folder / "clip.mp4")
    (folder / "photos").mkdir()
    with av.open(str(short_clip)) as clip:
        for i, frame in enumerate(islice(clip.decode(video=0), 0, None, 6)):
            PILImage.fromarray(frame.to_ndarray(format="rgb24")).save(folder / "photos" / f"{i}.jpg", quality=95)
    return folder


def run(program: str, folder: Path) -> str:
    """Save the program under the name in its first line, or another, and run it there; what it printed."""
    named = re.match(r"# (\w+\.py)\n", program)
    path = folder / (named[1] if named else "example.py")
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "error", path.name], cwd=folder, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(blocks("docs/python.md"))))
def test_a_program_of_the_python_page_runs(number: int, folder: Path) -> None:
    run(blocks("docs/python.md")[number].replace('"out/clip"', f'"out/clip-{number}"'), folder)


def test_the_parts_of_ones_own_work_together(folder: Path) -> None:
    said = [run(program, folder) for program in blocks("docs/extending.md")]
    assert f"{FRAMES} frames, {FRAMES} with hands" in said[3]
    assert len((folder / "tips.jsonl").read_text().splitlines()) == 2 * FRAMES
    assert said[4].startswith("1 ")
    assert len((folder / "out/wrists/wrists.txt").read_text().splitlines()) == 2 * FRAMES


def test_examples_of_parts_of_ones_own_are_short() -> None:
    programs = blocks("docs/extending.md")
    assert len(programs) == 5
    assert [program.count("\n") for program in programs if program.count("\n") >= LONGEST_EXAMPLE] == []


def test_the_readmes_program_runs(folder: Path) -> None:
    program = next(program for program in blocks("README.md") if "track_hands" in program)
    assert run(program, folder).count("\n") >= 2 * FRAMES
