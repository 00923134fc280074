"""Files as people name them, and files that sinks write: never over an existing one, with words for what goes wrong."""

import errno
import os
import sys
from contextlib import suppress
from io import FileIO
from pathlib import Path

from hamba_core.errors import OutputError

_ADVICE = {
    errno.ENOSPC: "free some space, or name a folder on another disk",
    errno.EDQUOT: "free some of your quota, or name a folder on another disk",
    errno.EFBIG: "the system limits the size of files; raise the limit, or name a folder on another disk",
    errno.EACCES: "name a folder you may write to",
    errno.EPERM: "name a folder you may write to",
    errno.EROFS: "name a folder on a disk that can be written to",
    errno.ENOTDIR: "name a folder whose parents are folders",
}


def expanded(name: str | Path) -> Path:
    """Return the path of a name, in which ~ or ~user in front is that person's folder.

    The name stays as it is where a file of that very name exists, or nobody is called so.
    """
    path = Path(name)
    with suppress(RuntimeError, ValueError):  # nobody is called so; no path at all
        return path if os.path.lexists(path) else path.expanduser()
    return path


def output_error(path: Path, error: OSError) -> OutputError:
    """Return the error to raise where writing this file failed."""
    advice = _ADVICE.get(error.errno or 0, "check the disk, or name another folder")
    return OutputError(f"{path}: expected to be able to write, found: {error.strerror or error}; {advice}")


def create(path: Path) -> FileIO:
    """Create a file, unbuffered, and its folder where missing. Raises OutputError, also where the file exists.

    As long as it is open, `is_being_written` says so.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb", buffering=0)
        _lock(file)
        return file
    except FileExistsError as error:
        if path.parent.is_dir():
            raise OutputError(
                f"{path}: expected no such file yet, found one, and it is not overwritten; "
                "name another folder, or remove it"
            ) from error
        raise output_error(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))) from error
    except OSError as error:
        raise output_error(path, error) from error


def is_being_written(path: Path) -> bool:
    """Return whether somebody, perhaps another process, has this file open since it was created.

    It is not known where the file system or the operating system has no locks.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return not _lock(file)
    except OSError:
        return False


def _lock(file: FileIO) -> bool:
    """Lock an open file until it is closed; return False only where somebody else has."""
    if sys.platform == "win32":  # which lets nobody remove a file that is open
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system
        return True
    return True


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there as a whole or not at all, in the place of an older one. Raises OutputError."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise output_error(path, error) from error
