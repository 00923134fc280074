"""Files appear whole, replace nothing unasked, and fail with words."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from hamba_core.errors import OutputError
from stages.common.files import create, is_being_written, output_error, write_whole


def test_a_new_file_has_its_folders_made(tmp_path: Path) -> None:
    with create(tmp_path / "a" / "b" / "c.bin") as file:
        file.write(b"x")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"x"


@pytest.mark.skipif(sys.platform == "win32", reason="there nobody can remove a file that is open")
def test_a_file_is_being_written_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    assert not is_being_written(path)
    with create(path):
        assert is_being_written(path)
        ask = (
            "import pathlib, sys; from stages.common.files import is_being_written; "
            "print(is_being_written(pathlib.Path(sys.argv[1])))"
        )
        command = [sys.executable, "-c", ask, str(path)]
        assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "True\n"
    assert not is_being_written(path)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    for path in (tmp_path / "a" / "c.bin", tmp_path / "a" / "b" / "c.bin"):
        with pytest.raises(OutputError, match=r"Not a directory.*folder"):
            create(path)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"old")
    write_whole(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"new")]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OutputError, match="Is a directory"):
        write_whole(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_is_told_with_what_to_do() -> None:
    error = output_error(Path("x/y"), OSError(errno.ENOSPC, "No space left on device"))
    assert str(error) == (
        "x/y: expected to be able to write, found: No space left on device; "
        "free some space, or name a folder on another disk"
    )
