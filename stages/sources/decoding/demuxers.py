"""This module limits what FFmpeg may take a file or an address for.

A text of a few lines, whatever its name, can be a list of other files that FFmpeg would read in its place. So
everything is opened as media only; it may be a playlist only if that was asked for, by its name or by an address.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import PurePath
from typing import Final

import av

_PLAYLISTS: Final = {".m3u8": ("hls",), ".mpd": ("dash",)}
_OF_ADDRESSES: Final = ("hls", "dash", "rtsp", "sdp", "rtp", "sap")
_FOLLOW: Final = frozenset(
    {
        *("concat", "hls", "dash", "imf", "webm_dash_manifest", "rtsp", "sdp", "rtp", "sap"),  # others' addresses
        *("vobsub", "mlv"),  # a file of the same name beside it
        *("lavfi", "tty", "ffmetadata"),  # what is no media
        *(
            "alsa",
            "fbdev",
            "kmsgrab",
            "x11grab",
            "xcbgrab",
            "pulse",
            "jack",
            "video4linux2,v4l2",
            "avfoundation",
            "dshow",
        ),
        *("oss", "sndio", "openal", "gdigrab", "iec61883", "libdc1394", "libcdio", "decklink", "android_camera"),
    }
)


def formats_of_file(name: str) -> str:
    """Return what FFmpeg may take the file of this name for, as its option `format_whitelist`."""
    return _whitelist(_PLAYLISTS.get(PurePath(name).suffix.lower(), ()))


def formats_of_address() -> str:
    """Return what FFmpeg may take the thing at an address for."""
    return _whitelist(_OF_ADDRESSES)


def reads(name: str) -> bool:
    """Return whether this build of FFmpeg reads a format; what it only writes has a name too."""
    return name in av.formats_available and av.ContainerFormat(name).is_input


def _whitelist(besides: Iterable[str]) -> str:
    return ",".join((*_media(), *besides))


@cache
def _media() -> tuple[str, ...]:
    names = sorted(av.formats_available)
    return tuple(name for name in names if name not in _FOLLOW and reads(name))
