"""The sources are where frames come from: one string names any source.

    clip.mp4                     a video file, any that FFmpeg decodes
    hand.jpg                     a picture
    folder/, "shots/*.png"       pictures, in natural order
    0, /dev/video0, camera:NAME  a camera, by number, device, or name or a part of it (`hamba cameras`)
    rtsp://..., http://..., udp://...   a stream
    synthetic:...                the test pattern (`stages.synthetic`)

What is there under the given name comes first: a file called "0" is meant by "./0".
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hamba_core.errors import DependencyError, SourceError
from stages.contract import Source
from stages.sources.address import SecretAddress, hint, revealed, source_name
from stages.sources.settings import SourceSettings

__all__ = ["SourceSettings", "are_pictures", "source_for"]

SYNTHETIC = "synthetic:"
_DEVICE = re.compile(r"/dev/video\d+|/dev/v4l/.+")


def source_for(text: str | Sequence[str], settings: SourceSettings | None = None, *, stream: str = "hands") -> Source:
    """Return the source that a string names, not yet open; several strings name picture files, which are one source.

    `stream` is the name that its frames carry. Raises SourceError if the string names nothing, or a kind that is not
    known; DependencyError if PyAV is missing.
    """
    settings = settings or SourceSettings()
    text = source_name(text) if isinstance(text, str) else text
    try:
        source = _source_for(text, settings, stream) if isinstance(text, str) else _listed(text, settings, stream)
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        raise DependencyError(f"{text}: expected PyAV, which reads it, found it missing: pip install av") from error
    if settings.start is not None or settings.end is not None:
        source = _part_of(source, settings)
    if settings.region is not None:
        from stages.sources.regions import Region, RegionSource

        source = RegionSource(source, Region.parse(settings.region))
    if settings.realtime:
        from stages.sources.pacing import PacedSource

        source = PacedSource(source)
    if settings.world:
        from stages.world import WorldSource

        source = WorldSource(source, settings.world, stream)
    return source


def _part_of(source: Source, settings: SourceSettings) -> Source:
    """Return the part of a source that is set; a video goes to it by itself."""
    from stages.sources.part import PartSource
    from stages.sources.video import VideoSource

    return source if isinstance(source, VideoSource) else PartSource(source, settings.start, settings.end)


def _source_for(text: str, settings: SourceSettings, stream: str) -> Source:
    from stages.sources import paths

    if not text.strip():
        raise SourceError("expected a file, a folder, a camera's number or an address; found an empty name")
    if text.startswith(SYNTHETIC):
        from stages.synthetic import synthetic_source

        return synthetic_source(text, stream=stream)
    if (text.isascii() and text.isdecimal()) or _DEVICE.fullmatch(text) or revealed(text).startswith("camera:"):
        from stages.sources.cameras import camera_source

        return camera_source(revealed(text), settings, stream)
    if not paths.exists(text):
        from stages.sources.live import SCHEMES, network_source, scheme_of

        scheme = scheme_of(revealed(text))
        if scheme == "file":
            return _source_for(unquote(urlsplit(text).path, errors="surrogateescape"), settings, stream)
        if scheme in SCHEMES:
            return network_source(text, settings, stream)
        if scheme is not None:
            near = get_close_matches(scheme, SCHEMES, n=1)
            raise SourceError(
                f"{text}: expected an address that begins with one of {', '.join(sorted(SCHEMES))}, found {scheme}"
                + (f"; did you mean {near[0]}?" if near else "")
            )
        if isinstance(text, SecretAddress):
            raise SourceError(
                f"{text}: expected an address that begins with one of {', '.join(sorted(SCHEMES))} and ://, "
                f"found another"
                f"{hint(revealed(text))}"
            )
        if paths.may_be_a_name(text):
            from stages.sources.cameras import camera_called, camera_source, in_words, list_cameras

            cameras = list_cameras()
            if camera_called(text, cameras) is not None:
                return camera_source(text, settings, stream)
            if cameras and not paths.is_pattern(text):
                raise SourceError(
                    f"{text}: expected a file, a folder, a camera or an address, found nothing of that name; "
                    f"{in_words(cameras)}"
                )
        if paths.is_pattern(text):
            return _images(text, paths.pictures_of_glob(text), settings, stream)
    if paths.is_folder(text):
        return _images(text, paths.pictures_in_folder(text), settings, stream)
    path = paths.readable_file(text)
    from stages.sources.foreign import HEAD_BYTES, foreign_kind

    with path.open("rb") as file:
        foreign = foreign_kind(file.read(HEAD_BYTES))
    if foreign is not None:
        raise SourceError(f"{text}: expected a video or a picture, found {foreign}")
    from stages.sources.pictures.images import is_still
    from stages.sources.pictures.picture_file import PictureFileSource, form_of

    form = form_of(path)
    if form is not None:
        return PictureFileSource(text, path, form, settings, stream)
    if is_still(path):
        return _images(text, [path], settings, stream)
    from stages.sources.video import VideoSource

    return VideoSource(text, settings, stream)


def _listed(names: Sequence[str], settings: SourceSettings, stream: str) -> Source:
    from stages.sources import paths
    from stages.sources.pictures.images import ImagesSource

    if not names:
        raise SourceError("expected the names of pictures, found none")
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return ImagesSource(
        f"{names[0]}{more}", [paths.readable_file(name) for name in names], settings, stream, listed=True
    )


def are_pictures(names: Sequence[str]) -> bool:
    """Return whether all of these are the names of picture files."""
    from stages.sources import paths

    return all(paths.is_picture(name) for name in names)


def _images(text: str, paths: Sequence[Path], settings: SourceSettings, stream: str) -> Source:
    from stages.sources.pictures.images import ImagesSource

    return ImagesSource(text, paths, settings, stream)
