"""The header of a still picture tells, without decoding it, its size, which way up it is, and its focal length.

Pillow reads it; the picture itself is decoded by FFmpeg, as videos are.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from struct import unpack_from
from typing import TYPE_CHECKING, Final

from stages.sources.decoding import UPRIGHT, Orientation

if TYPE_CHECKING:
    from PIL.Image import Exif
    from PIL.ImageFile import ImageFile

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff"),
        *(".gif", ".jp2", ".avif", ".heic", ".heif", ".hif", ".jxl", ".ppm", ".pgm", ".pnm", ".tga", ".qoi"),
    }
)
"""File names that end so are pictures of a folder."""

HEAD_BYTES = 64
"""So many bytes of a file tell its kind."""

_ORIENTATION, _EXIF_IFD, _FOCAL_35MM = 0x0112, 0x8769, 0xA405

# Pillow warns of damage in headers. It is reported as an error where it matters: when the picture is decoded.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class StillHeader:
    """What is known of a still picture before it is decoded."""

    kind: str  # "JPEG", "PNG", ...
    width: int  # px; 0 where the header was not understood
    height: int
    orientation: Orientation = UPRIGHT
    focal_35mm: float | None = None  # mm, of the lens that would see the same on 35 mm film
    reader: str = "FFmpeg software"  # what decoded it
    complete: bool = True  # false where the end of the picture is missing


def still_kind(head: bytes) -> str | None:
    """Return the kind of still picture that begins with these `HEAD_BYTES` bytes; None if it is not a still picture."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"BM") and head[14:15] in (b"\x0c", b"\x28", b"\x34", b"\x38", b"\x40", b"\x6c", b"\x7c"):
        return "BMP"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if head[4:12] == b"jP  \r\n\x87\n":
        return "JPEG 2000"
    if head[4:12] in (b"ftypavif", b"ftypavis") or (head[4:12] == b"ftypmif1" and b"avif" in _brands(head)):
        return "AVIF"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypheim", b"ftypheis", b"ftypmif1", b"ftyphevc"):
        return "HEIC"
    if head[:2] in (b"P4", b"P5", b"P6") and head[2:3].isspace():
        return "PNM"
    if head[:3] == b"P7\n":
        return "PAM"
    if head[:2] == b"\xff\x0a" or head[4:12] == b"JXL \r\n\x87\n":
        return "JPEG XL"
    if head[:4] == b"qoif":
        return "QOI"
    return None


def _brands(head: bytes) -> list[bytes]:
    """Return the kinds of file that a head of ISO's base media format says that it is compatible with."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[at : at + 4] for at in range(16, end, 4)]


def still_header(data: bytes) -> StillHeader | None:
    """Return what the bytes of a picture file say; None if they are not a still picture. Never raises."""
    kind = still_kind(data[:HEAD_BYTES])
    if kind is None:
        return None
    complete = _ENDS[kind](data) if kind in _ENDS else True
    try:
        image = pillow_image(kind, data)
        if image is None:
            return StillHeader(kind, 0, 0, complete=complete)
        width, height = image.size
        orientation, focal = _exif(kind, image, data)
    except Exception:  # noqa: BLE001 - whatever Pillow raises on damage; what matters of it shows in decoding
        return StillHeader(kind, 0, 0, complete=complete)
    return StillHeader(kind, width, height, orientation, focal, complete=complete)


def without_packed_texts(data: bytes) -> bytes:
    """Return a PNG without texts and colour profile, which may unpack to gigabytes, and other data as it is."""
    if still_kind(data[:HEAD_BYTES]) != "PNG":
        return data
    kept, at = [data[:8]], 8
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if kind not in (b"zTXt", b"iTXt", b"tEXt", b"iCCP"):
            kept.append(data[at:end])
        at = end
    return data if len(kept) == 1 else b"".join((*kept, data[at:]))


def gif_pixels(data: bytes) -> int:
    """Return the pixels of a GIF's canvas times the number of its pictures; 0 if it is not a GIF."""
    size = gif_size(data)
    return size[0] * size[1] * _gif_pictures(data)[0] if size is not None else 0


def gif_is_whole(data: bytes) -> bool:
    """Return whether the bytes of a GIF go to its end mark."""
    return _gif_pictures(data)[1]


def _gif_pictures(data: bytes) -> tuple[int, bool]:
    """Return the number of a GIF's pictures, and whether its end mark follows them."""
    if len(data) < 13:
        return 0, False
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    pictures = 0
    while at < len(data):
        match data[at]:
            case 0x2C:
                pictures += 1
                flags = data[at + 9] if at + 9 < len(data) else 0
                at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
            case 0x21:
                at += 2
            case other:
                return pictures, other == 0x3B
        while at < len(data) and data[at]:  # blocks of data, each with its length before it
            at += data[at] + 1
        at += 1
    return pictures, False


def gif_size(head: bytes) -> tuple[int, int] | None:
    """Return width and height of a GIF, which is a video here; None if it is not a GIF."""
    if head[:6] not in (b"GIF87a", b"GIF89a") or len(head) < 10:
        return None
    width, height = unpack_from("<HH", head, 6)
    return width, height


def pillow_image(kind: str, data: bytes) -> "ImageFile | None":
    """Return Pillow's reader of this kind, at the picture's header; None if the kind is left to FFmpeg."""
    from PIL import (
        AvifImagePlugin,
        BmpImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        QoiImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    # It is opened by the kind's own reader, since `Image.open` has a limit of its own to the size.
    readers: dict[str, Callable[[BytesIO], ImageFile]] = {
        "AVIF": AvifImagePlugin.AvifImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "QOI": QoiImagePlugin.QoiImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
    }
    return readers[kind](BytesIO(data)) if kind in readers else None


def _exif(kind: str, image: "ImageFile", data: bytes) -> tuple[Orientation, float | None]:
    """Return which way up the picture is, and its focal length in terms of 35 mm film."""
    from PIL.Image import Exif

    if kind != "PNG":
        return focal_and_orientation(image)
    tags = Exif()
    if exif := _png_exif(image, data):  # its `getexif` would decode the picture
        tags.load(exif)
    return _told(tags)


def focal_and_orientation(image: "ImageFile") -> tuple[Orientation, float | None]:
    """Return the orientation in a picture's EXIF, and its focal length in terms of 35 mm film."""
    return _told(image.getexif())


def _told(tags: "Exif") -> tuple[Orientation, float | None]:
    focal = tags.get_ifd(_EXIF_IFD).get(_FOCAL_35MM, 0)
    known = isinstance(focal, int) and 4 <= focal <= 1000
    orientation = tags.get(_ORIENTATION, 1)
    upright = not isinstance(orientation, int)
    return UPRIGHT if upright else Orientation.from_exif(orientation), float(focal) if known else None


def _png_exif(image: "ImageFile", data: bytes) -> bytes:
    """Return a PNG's EXIF, which may stand before the picture or behind it."""
    exif: bytes = image.info.get("exif", b"")
    at = data.find(b"eXIf", data.rfind(b"IDAT"))
    if exif or at < 4:
        return exif
    return data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")]


def _jpeg_ends(data: bytes) -> bool:
    # The coded picture cannot hold an end marker, but a thumbnail in its EXIF can: look behind the last start of scan.
    last_scan = data.rfind(b"\xff\xda")
    return last_scan >= 0 and data.find(b"\xff\xd9", last_scan) >= 0


_ENDS: Final[dict[str, Callable[[bytes], bool]]] = {
    "JPEG": _jpeg_ends,
    "PNG": lambda data: data.find(b"IEND", data.rfind(b"IDAT")) >= 0,
    "QOI": lambda data: b"\0\0\0\0\0\0\0\1" in data[-64:],
}
"""Whether a picture's end is there, where the decoder would not miss it."""
