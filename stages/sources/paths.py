"""This module finds the files that a name means, and says clearly which of them cannot be read."""

import logging
import os
import re
import stat
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from glob import glob, has_magic
from pathlib import Path

from hamba_core.errors import SourceError
from stages.common.files import expanded
from stages.sources.headers import SUFFIXES

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".3gp"),
        *(".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".ogv", ".mxf"),
    }
)
"""File names that end so are videos of a folder."""

_INSTEAD_OF_PIPES = (
    "many videos cannot be read without going back in them, so write it to a file first; send what is live over a "
    "socket, as with ffmpeg -i - -c copy -f mpegts udp://127.0.0.1:5000"
)


def exists(name: str) -> bool:
    """Return whether something of this name is there, even if it cannot be read."""
    try:
        return os.path.lexists(name)
    except ValueError:  # a NUL inside
        return False


def readable_file(name: str) -> Path:
    """Return the path of a regular file that can be read and is not empty. Raises SourceError."""
    path = expanded(name)
    try:
        status = path.stat()
    except FileNotFoundError as error:
        if name == "-" or name.startswith("pipe:"):
            raise SourceError(f"{name}: expected a file, found what names a pipe; {_INSTEAD_OF_PIPES}") from error
        if path.is_symlink():
            raise SourceError(
                f"{name}: expected a file, found a link to {path.readlink()}, which is missing"
            ) from error
        raise SourceError(
            f"{name}: expected a file, a folder, a camera or an address; found nothing of that name{_nearest(path)}"
        ) from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: expected a file that can be read, found: {_reason(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        instead = "give a file, a folder of images, a camera or an address"
        if stat.S_ISFIFO(status.st_mode):
            instead = _INSTEAD_OF_PIPES
        raise SourceError(f"{name}: expected a file, found {_special(status.st_mode)}; {instead}")
    if status.st_size == 0:
        raise SourceError(f"{name}: expected a video or a picture, found an empty file; copy or record it again")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise SourceError(
            f"{name}: expected a file that can be read, found: {_reason(error)}; check its permissions"
        ) from error
    return path


def pictures_in_folder(name: str, *, told: bool = True) -> list[Path]:
    """Return the picture files of a folder, in natural order (2 before 10). Raises SourceError where there are none.

    Videos beside them are `told` of in the log.
    """
    folder = expanded(name)
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        raise SourceError(f"{name}: expected a folder that can be read, found: {_reason(error)}") from error
    pictures = _of_kind((folder / entry for entry in names), SUFFIXES)
    if not pictures:
        found = f"{len(names)} other entries, such as {names[0]}" if names else "nothing"
        if taken := next((entry for entry in names if entry.endswith(".mcap")), None):
            found = f"a recording, {taken}, which hamba view, hamba play and hamba export read"
        raise SourceError(
            f"{name}: expected videos or pictures ({', '.join(sorted(SUFFIXES))}) in the folder, found {found}; "
            "folders in it are not searched"
        )
    videos = _of_kind((folder / entry for entry in names), VIDEO_SUFFIXES)
    if videos and told:
        logger.warning(
            "%s holds pictures and videos; the pictures are one source, each of the %d videos, such as %s, is another",
            name,
            len(videos),
            videos[0],
        )
    return pictures


def pictures_of_glob(name: str) -> list[Path]:
    """Return the picture files that a pattern with *, ? or [...] matches, in natural order. Raises SourceError."""
    pattern = str(expanded(name))
    try:
        matches = [Path(match) for match in glob(pattern, recursive=True)]  # noqa: PTH207 - takes absolute ones too
    except (OSError, ValueError, re.error) as error:
        raise SourceError(f"{name}: expected a pattern of file names, found: {error}") from error
    pictures = _of_kind(matches, SUFFIXES)
    if not pictures:
        found = f"{len(matches)} other files, such as {matches[0]}" if matches else "nothing of that name"
        raise SourceError(
            f"{name}: expected a pattern that matches pictures ({', '.join(sorted(SUFFIXES))}), found {found}"
        )
    return pictures


def videos_of(name: str) -> list[Path]:
    """Return the video files of a folder, or those that a pattern matches, in natural order.

    There are none if the name is that of a single file, a camera or an address, or empty: as a path, that would be the
    folder one is in.
    """
    if not name.strip():
        return []
    try:
        path = expanded(name)
        if path.is_dir():
            found = [path / entry.name for entry in os.scandir(path)]
        elif is_pattern(name) and not exists(name):
            found = [Path(match) for match in glob(str(path), recursive=True)]  # noqa: PTH207 - takes absolute ones too
        else:
            return []
    except (OSError, ValueError, re.error):
        return []
    return _of_kind(found, VIDEO_SUFFIXES)


def holds_pictures(name: str) -> bool:
    """Return whether there are pictures in a folder, or among the files that a pattern matches."""
    try:
        return bool(pictures_in_folder(name, told=False) if is_folder(name) else pictures_of_glob(name))
    except SourceError:
        return False


def is_folder(name: str) -> bool:
    """Return whether a name is that of a folder."""
    try:
        return expanded(name).is_dir()
    except (OSError, ValueError):
        return False


def is_picture(name: str) -> bool:
    """Return whether a name is that of a file, and ends as those of pictures do."""
    try:
        path = expanded(name)
        return path.suffix.lower() in SUFFIXES and path.is_file()
    except (OSError, ValueError):
        return False


def may_be_a_name(name: str) -> bool:
    """Return whether it may be the name of a camera: no path, and without the ending of a picture or a video."""
    return not {"/", os.sep} & set(name) and Path(name).suffix.lower() not in SUFFIXES | VIDEO_SUFFIXES


def is_pattern(name: str) -> bool:
    """Return whether a name contains one of glob's special characters."""
    return has_magic(name)


def _of_kind(paths: Iterable[Path], suffixes: Collection[str]) -> list[Path]:
    found = [path for path in paths if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    return sorted((path for path in found if not path.is_dir()), key=lambda path: _natural(str(path)))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts the numbers in names by their value."""
    return [
        (0, int(part), part) if part.isdecimal() else (1, 0, part.casefold())
        for part in re.split(r"([0-9]+)", name)
        if part
    ]


def _nearest(path: Path) -> str:
    try:
        names = [entry.name for entry in os.scandir(path.parent)]
    except (OSError, ValueError):
        return ""
    matches = get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / matches[0]}?" if matches else ""


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _special(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((text for test, text in kinds if test(mode)), "something else")
