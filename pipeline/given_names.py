"""What a person names where something else is expected: a video for a recording, a stream for what is published.

A command that cannot do anything with it says what it is, and which command can.
"""

import re
from pathlib import Path
from typing import Final

from hamba_core.errors import ConfigurationError, SourceError
from stages.common.address import DEFAULT_ADDRESS

_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
_PUBLISHED: Final = frozenset(("tcp", "ipc", "ws", "wss", "inproc", "pgm", "epgm", "norm"))
_STREAMS: Final = frozenset(("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "srt"))
_PLACE: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}")
_SOURCES: Final = re.compile(r"\d{1,3}|/dev/video\d+|/dev/v4l/.+|camera:.*|synthetic:.*")


def recording_in(path: Path) -> Path:
    """Return the recording that a path names, or that is in the folder that a path names.

    Raises SourceError for what is an address, or a file of another kind.
    """
    from stages.recording import RECORDING
    from stages.sources.address import source_name

    name = _ADDRESS.sub(r"\1://", str(path))  # as a path it has one slash
    if not path.exists() and (found := _ADDRESS.match(name)):
        shown = source_name(name)
        if found[1].lower() in _PUBLISHED:
            raise SourceError(
                f"{shown}: expected a recording or its folder, found an address; hamba record {shown} makes a "
                "recording of what is published there"
            )
        raise SourceError(f"{shown}: expected a recording or its folder, found {_of_source(shown)}")
    if not path.exists() and _SOURCES.fullmatch(name):
        raise SourceError(f"{name}: expected a recording or its folder, found {_of_source(name)}")
    if path.is_file() and not _is_recording(path):
        raise SourceError(
            f"{path}: expected an MCAP recording ({RECORDING}) or its folder, found another file; if it is a video or "
            f"a picture, hamba run {path} makes a recording of its hands"
        )
    return path / RECORDING if path.is_dir() else path


def check_published(name: str, *, or_recording: bool = False) -> None:
    """Raise SourceError where a name is not the address of what is published, but something else that is known.

    `or_recording` says that the command would take a recording too, and that this is none.
    """
    from stages.sources.address import source_name

    expected = f"an address such as {DEFAULT_ADDRESS}" + (", a recording or the folder of one" if or_recording else "")
    scheme = _ADDRESS.match(name)
    if scheme is not None and scheme[1].lower() in _PUBLISHED:
        return
    shown = source_name(name)
    path = Path(name)
    if path.exists():
        if path.is_dir() or _is_recording(path):
            raise SourceError(f"{shown}: expected {expected}, found a recording; hamba play {shown} publishes one")
        raise SourceError(f"{shown}: expected {expected}, found {_of_source(shown)}")
    if (scheme is not None and scheme[1].lower() in _STREAMS) or _SOURCES.fullmatch(name):
        raise SourceError(f"{shown}: expected {expected}, found {_of_source(shown)}")
    if _PLACE.fullmatch(name):
        raise SourceError(f"{shown}: expected {expected}, found one without tcp://; did you mean tcp://{shown}?")
    if scheme is not None:
        raise ConfigurationError(f"{shown}: expected {expected}, found an address of another kind")
    if or_recording:
        raise SourceError(f"{shown}: expected {expected}; found no file of that name")


def _of_source(shown: str) -> str:
    return (
        f"what hamba run takes: hamba run {shown} --publish publishes its hands, and records them into the folder of "
        "--out"
    )


def _is_recording(path: Path) -> bool:
    from stages.recording import MAGIC

    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:  # what opens it says why
        return True
