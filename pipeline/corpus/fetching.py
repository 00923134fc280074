"""Videos of an object store are opened there, or copied to this machine, where decoders read them."""

from pathlib import Path
from typing import Any, Final

from hamba_core.errors import SourceError
from pipeline.corpus.manifest import Video

_BLOCK: Final = 1 << 22  # bytes


def stored(video: Video) -> Any:
    """Open a video in an object store. Raises SourceError where it cannot be."""
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem

    try:
        system, path = FileSystem.from_uri(video.path)
        return system.open_input_file(path)
    except (ArrowException, OSError) as error:
        raise SourceError(f"{video.name}: expected an object that can be read, found: {error}") from error


def fetched(video: Video, folder: Path, most: int | None = None) -> str:
    """Return a path that decoders read; a video in an object store is copied to `folder`.

    Raises SourceError where it cannot be read, or has more than `most` bytes.
    """
    if not video.in_a_store:
        return video.path
    local = folder / f"video{Path(video.path.partition('?')[0]).suffix}"
    try:
        with stored(video) as source, local.open("wb") as file:
            if most is not None and source.size() > most:
                raise SourceError(f"{video.name}: expected at most {most:,} bytes, found {source.size():,}")
            while block := source.read(_BLOCK):
                file.write(block)
    except OSError as error:
        raise SourceError(f"{video.name}: expected an object that can be read, found: {error}") from error
    return str(local)
