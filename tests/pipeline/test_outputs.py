"""Where results go, and that earlier ones are never lost."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from hamba_core.errors import OutputError
from pipeline.outputs import default_folder, prepare_folder
from stages.common.files import create
from stages.recording import RECORDING


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/videos/my clip.mp4", "my-clip"),
        ("rtsp://camera.local:554/stream?x=1", "camera.local-554-stream-x-1"),
        ("0", "0"),
        ("synthetic:?seed=3", "synthetic-seed-3"),
        ("...", "hands"),
    ],
)
def test_the_folder_is_named_for_the_source(tmp_path: Path, source: str, name: str) -> None:
    assert default_folder(source, tmp_path) == tmp_path / name


@given(st.text(max_size=200))
def test_any_source_gives_a_plain_folder_name(source: str) -> None:
    folder = default_folder(source, Path("out"))
    assert folder.parent == Path("out")
    assert 0 < len(folder.name) <= 64
    assert folder.name not in {".", ".."}


def test_a_folder_with_results_is_passed_over(tmp_path: Path) -> None:
    for _ in range(2):
        folder = default_folder("clip.mp4", tmp_path)
        folder.mkdir()
        (folder / RECORDING).touch()
    assert default_folder("clip.mp4", tmp_path).name == "clip-3"


def test_the_first_folder_is_taken_again_where_results_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / RECORDING).touch()
    assert default_folder("clip.mp4", tmp_path, overwrite=True).name == "clip"


@pytest.mark.skipif(sys.platform == "win32", reason="there nobody can remove a file that is open")
def test_results_of_a_run_that_goes_on_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "overlay.mp4").write_text("its video")
    with create(tmp_path / RECORDING) as recording:
        recording.write(b"precious")
        with pytest.raises(OutputError, match=r"found another run at work in it; wait for its end"):
            prepare_folder(tmp_path, overwrite=True)
    assert (tmp_path / RECORDING).read_bytes() == b"precious"
    assert (tmp_path / "overlay.mp4").exists()
    prepare_folder(tmp_path, overwrite=True)
    assert not list(tmp_path.iterdir())


def test_results_are_overwritten_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / RECORDING).write_text("precious")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="already holds the results"):
        prepare_folder(tmp_path, overwrite=False)
    assert (tmp_path / RECORDING).read_text() == "precious"
    prepare_folder(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write to .*file/inner"):
        prepare_folder(tmp_path / "file" / "inner", overwrite=False)
