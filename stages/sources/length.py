"""How long a video is, where parts of it can be had without reading what comes before them."""

import av

from hamba_core.errors import SourceError
from stages.sources.decoding import Readable, can_seek, open_container, open_decoder
from stages.sources.settings import SourceSettings


def seekable_length(video: str | Readable, settings: SourceSettings) -> float | None:
    """Return the seconds of a video file, given by its path or opened; None if it cannot be gone into, or is none."""
    try:
        container = open_container(f"file:{video}" if isinstance(video, str) else video, settings)
    except (av.FFmpegError, OSError, UnicodeError, ValueError):
        return None
    try:
        decoder = open_decoder(container, settings)
        return decoder.duration if can_seek(decoder) else None
    except (SourceError, av.FFmpegError):
        return None
    finally:
        container.close()
