"""One still picture is decoded from the bytes of its file to upright RGB.

FFmpeg decodes it, as it does videos: it is quiet about damage, converts CMYK, palettes and 16 bits, and has the same
limits. What it leaves out is read from the header: EXIF's mirrored orientations, the focal length, a missing end. A
picture that it does not read, or reads wrongly, is left to `pillow_pages`.
"""

import io
from dataclasses import replace
from typing import IO, Final

import av

from hamba_core.errors import SourceError
from stages.packets import Image
from stages.sources.decoding import PixelConverter, open_container, open_decoder, orientation_of, reason_of
from stages.sources.headers import StillHeader, still_header
from stages.sources.pictures.pillow_pages import pages
from stages.sources.pictures.plugin_pictures import PLUGINS, plugin_picture
from stages.sources.settings import SourceSettings

_FORMATS: Final = {"JPEG": "jpeg_pipe", "PNG": "png_pipe", "WebP": "webp_pipe", "BMP": "bmp_pipe", "PAM": "pam_pipe"}
"""What FFmpeg calls a picture of each kind; else it might take the video behind a phone's photograph for the file."""
_PNM: Final = {b"P4": "pbm_pipe", b"P5": "pgm_pipe", b"P6": "ppm_pipe"}
"""The same for PNM, by its beginning: FFmpeg knows one by its content only if its first line ends there."""


def decoded(
    data: bytes, pixels: PixelConverter, settings: SourceSettings, path: str | None = None
) -> tuple[Image, StillHeader | None]:
    """Return the picture, and what its header says. `path` is for what only a file's name tells. Raises SourceError."""
    header = still_header(data)
    if header is not None:
        _check(header, pixels)
        if header.kind in PLUGINS:
            return plugin_picture(header, data, pixels)
        if _is_for_pillow(header, data):
            page = next(pages(header.kind, data, pixels.check_size), None)
            if page is None:
                raise SourceError(f"expected a {header.kind} with a picture in it, found none")
            return page.image, replace(header, reader="Pillow")
    try:
        # It is opened by its content if that tells its kind, so that no character of its name has a meaning.
        url: IO[bytes] | str = io.BytesIO(data) if header or path is None else f"file:{path}"
        form = _FORMATS.get(header.kind, _PNM.get(data[:2])) if header is not None else None
        with open_container(url, settings, format=form) as container:
            decoder = open_decoder(container, settings)
            codec = decoder.stream.codec_context
            if codec.width and codec.height:
                pixels.check_size(codec.width, codec.height)
            frame = next(decoder.frames(), None)
            if frame is None:
                raise SourceError("expected a picture, found one that cannot be decoded: it is damaged or cut off")
            # EXIF stands in the header; what has no EXIF may have a display matrix.
            has_exif = header is not None and header.kind not in ("AVIF", "JPEG 2000")
            orientation = header.orientation if header and has_exif else orientation_of(frame)
            return pixels.picture(frame, None, orientation), header
    except (av.FFmpegError, UnicodeError, ValueError) as error:
        raise SourceError(f"expected a picture that can be decoded, found damage: {reason_of(error)}") from error


def _check(header: StillHeader, pixels: PixelConverter) -> None:
    if header.width and header.height:
        pixels.check_size(header.width, header.height)
    if not header.complete:
        raise SourceError(f"expected a whole {header.kind} picture, found one whose end is missing; copy it again")


def _is_for_pillow(header: StillHeader, data: bytes) -> bool:
    """Return whether FFmpeg does not read this picture, or silently reads it as something else."""
    if header.kind == "TIFF":  # tiles and JPEG inside are black, more than 16 bits and fractions are noise
        return True
    if header.kind == "WebP":
        return b"ANIM" in data[:256]
    if header.kind == "AVIF":  # of tiles it decodes the first; transparency is a picture of its own
        at = data.find(b"meta")
        about = data[at : at + int.from_bytes(data[at - 4 : at], "big")] if at >= 4 else b""
        return b"grid" in about or b":alpha" in about or data[4:12] == b"ftypavis"
    if header.kind == "JPEG":
        return _coding(data) in (0xC9, 0xCA, 0xCD, 0xCE)  # arithmetic
    return False


def _coding(data: bytes) -> int:
    """Return the marker of a JPEG's frame, which tells how it is coded; 0 if there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0
