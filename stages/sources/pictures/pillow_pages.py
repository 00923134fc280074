"""Pillow reads the pictures that FFmpeg does not read, or reads wrongly; tifffile reads what is not RGB in bytes.

These are TIFF in all its forms, AVIF in tiles, with transparency or animated, animated PNG and WebP, arithmetic JPEG.
"""

import ctypes
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import SourceError
from stages.packets import Image
from stages.sources.decoding import Orientation
from stages.sources.headers import pillow_image

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

logger = logging.getLogger(__name__)

_ORIENTATION, _SUBFILE, _PHOTOMETRIC = 0x0112, 254, 262
_MOST_PAGES = 10_000
_LARGEST = 1 << 30  # bytes of a picture that is not packed
_SMALLER = 0.7  # of the first page's width, from which down a page of its shape is a smaller copy
_STILL_SECONDS = 0.1  # of a picture of an animation that says 0, as in browsers
CheckSize = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Page:
    """One picture of a file: upright RGB, and for how many seconds it is shown if it is part of an animation."""

    image: Image
    seconds: float | None = None


WITH_PAGES: Final = frozenset(("TIFF", "PNG", "WebP", "AVIF"))
"""Kinds of files that can hold several pictures."""


def page_count(kind: str, data: bytes) -> int:
    """Return how many pictures Pillow, or tifffile, finds in a file that can hold several; 1 where none reads it.

    Raises SourceError for a TIFF of more pages than can be counted in reasonable time.
    """
    if kind not in WITH_PAGES:
        return 1
    if kind == "TIFF" and not _has_countable_pages(data):  # Pillow and tifffile look at all before each
        raise SourceError(f"expected a TIFF of at most {_MOST_PAGES:,} pages, found more; make a video of it")
    try:
        image = pillow_image(kind, data)
        return int(getattr(image, "n_frames", 1))
    except Exception:  # noqa: BLE001 - whatever Pillow raises; what cannot be read is told when it is
        return _tifffile_count(data) if kind == "TIFF" else 1


def _has_countable_pages(data: bytes) -> bool:
    """Return whether a TIFF has at most `_MOST_PAGES` directories; one that leads back to itself has."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    big = number(2, 2) == 43
    count_size, entry_size, offset_size = (8, 20, 8) if big else (2, 12, 4)
    at, seen = number(8, 8) if big else number(4, 4), set[int]()
    while 0 < at < len(data) and at not in seen:
        seen.add(at)
        if len(seen) > _MOST_PAGES:
            return False
        at = number(at + count_size + entry_size * number(at, count_size), offset_size)
    return True


def pages(kind: str, data: bytes, check_size: CheckSize) -> Iterator[Page]:
    """Yield the pictures of a file. Raises SourceError if one cannot be read, saying what it is.

    Thumbnails, and pages that by their size are smaller copies of the first, are passed over, and the log says so.
    """
    if kind == "TIFF":
        _quiet_libtiff()
    try:
        image = pillow_image(kind, data)
        count = int(getattr(image, "n_frames", 1))
    except Exception as error:
        if kind != "TIFF":
            raise SourceError(f"expected a {kind} picture that Pillow reads, found: {error}") from error
        yield from _tifffile_pages(data, check_size)
        return
    if image is None:
        raise SourceError(f"expected a picture that Pillow reads, found {kind}")
    if image.mode in ("I", "F"):  # Pillow has forgotten of how many bits the numbers are
        try:
            found = list(_tifffile_pages(data, check_size))
        except SourceError as error:
            logger.debug("tifffile does not read it: %s", error)
        else:
            yield from found
            return
    first_size = image.size
    for number in range(count):
        try:
            image.seek(number)
            if number == 0 and image.info.get("default_image"):  # for programs that know no animations
                continue
            thumbnail = kind == "TIFF" and bool(getattr(image, "tag_v2", {}).get(_SUBFILE, 0) & 1)
            if number and (thumbnail or _is_smaller_copy(image.size, first_size)):
                _tell_passed_over(number, image.size)
                continue
            check_size(*image.size)
            inverted = kind == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
            image.load()
            duration = image.info.get("duration")
            seconds = None if duration is None else (float(duration) / 1000 or _STILL_SECONDS)
            orientation = image.getexif().get(_ORIENTATION, 1)
            pixels = rgb_of(image, inverted=inverted)
        except SourceError:
            raise
        except Exception as error:
            if kind == "TIFF" and number == 0:
                yield from _tifffile_pages(data, check_size)
                return
            raise SourceError(f"expected a whole {kind} picture, found: {error}") from error
        if isinstance(orientation, int):
            pixels = np.ascontiguousarray(Orientation.from_exif(orientation).apply(pixels))
        yield Page(pixels, seconds)


def _is_smaller_copy(size: tuple[int, int], first: tuple[int, int]) -> bool:
    """Return whether a page seems to be the first one again, scaled down, as microscopes and maps have it."""
    (width, height), (whole_width, whole_height) = size, first
    same_shape = abs(width * whole_height - height * whole_width) <= whole_width + whole_height  # but for rounding
    return same_shape and width <= _SMALLER * whole_width


def _tell_passed_over(number: int, size: tuple[int, int]) -> None:
    logger.warning("page %d of the file, %dx%d, is passed over: it is a smaller copy of the first", number + 1, *size)


@cache
def _quiet_libtiff() -> None:
    """Keep libtiff from writing what it finds damaged to the terminal; Pillow raises it too.

    If Pillow was not installed with a libtiff of its own beside it, libtiff goes on writing.
    """
    import PIL

    for path in Path(PIL.__file__).parent.parent.glob("pillow.libs/libtiff*"):
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(str(path))
            library.TIFFSetErrorHandler(None)
            library.TIFFSetWarningHandler(None)


def rgb_of(image: "PillowImage", *, inverted: bool = False) -> Image:
    """Return Pillow's picture as RGB; what is transparent shows black. `inverted` says that its 0 is white."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        grey = bytes_of(np.asarray(image))
        return np.repeat((255 - grey if inverted else grey)[..., None], 3, 2)
    if mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        return np.array(converted if converted is not None else image, np.uint8)
    if "A" in mode or "a" in mode or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"), np.uint8)
        opacity = pixels[..., 3:].astype(np.uint16)
        return ((pixels[..., :3] * opacity + 127) // 255).astype(np.uint8)  # what is transparent shows black
    return np.array(image.convert("RGB"), np.uint8)


def bytes_of(values: NDArray[Any]) -> Image:
    """Return the numbers of a picture as bytes.

    Bytes and 16 bits without a sign fill their range. Others do not say what white is: it is taken to be the least of
    1 (for fractions), 255, 65,535 and the largest number of their kind that is not below the largest value.
    """
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if values.dtype.kind not in "iuf":
        raise SourceError(f"expected a picture of whole numbers or fractions, found {values.dtype}")
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    whites = [255.0, 65535.0]
    whites = [1.0, *whites] if values.dtype.kind == "f" else [255.0, float(np.iinfo(values.dtype).max)]
    if values.dtype.kind != "f" and values.dtype.itemsize > 2:
        whites.insert(1, 65535.0)
    largest = float(numbers.max(initial=0.0))
    white = next((white for white in whites if largest <= white), largest)
    logger.info("a picture of %s has values up to %g: %g is taken for white", values.dtype, largest, white)
    shown: Image = np.clip(numbers * (255 / white) + 0.5, 0, 255).astype(np.uint8)
    return shown


def _tifffile_count(data: bytes) -> int:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            return max(1, len(file.pages))
    except Exception:  # noqa: BLE001 - as above
        return 1


def _tifffile_pages(data: bytes, check_size: CheckSize) -> Iterator[Page]:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # damage is told by the error
    described = "TIFF"
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            first: Any = file.pages[0]
            for number, each in enumerate(file.pages):
                page: Any = each
                size = (int(page.imagewidth), int(page.imagelength))
                if number and _is_smaller_copy(size, (first.imagewidth, first.imagelength)):
                    _tell_passed_over(number, size)
                    continue
                check_size(*size)
                described = (
                    f"TIFF of {page.samplesperpixel} x {page.dtype}, {page.compression.name.lower()}, "
                    f"{page.photometric.name.lower()}"
                )
                yield Page(_of_samples(page, described))
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(
            f"expected a picture that Pillow or tifffile reads, found {described}: {error}; convert it to PNG"
        ) from error


def _of_samples(page: Any, described: str) -> Image:
    photometric = page.photometric.name
    known: tuple[int, ...] = {"MINISBLACK": (1, 2), "MINISWHITE": (1, 2), "RGB": (3, 4)}.get(photometric, ())
    # Before room is set aside for what is said of it.
    if page.imagedepth != 1 or page.samplesperpixel not in known:
        raise SourceError(f"expected a grey or RGB picture, found {described}; convert it to PNG")
    if page.nbytes > _LARGEST:
        raise SourceError(f"expected a picture of at most {_LARGEST >> 20} MiB, found {described} of {page.nbytes}")
    values: Any = np.asarray(page.asarray())
    values = values.reshape((-1, *values.shape[-2:])) if page.planarconfig == 2 and values.ndim > 2 else values
    if page.planarconfig == 2 and values.ndim == 3 and values.shape[0] == page.samplesperpixel:
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in known:
        raise SourceError(f"expected a grey or RGB picture, found {described}; convert it to PNG")
    shown = bytes_of(np.ascontiguousarray(values[..., : known[0]]))
    if photometric == "MINISWHITE":
        shown = 255 - shown
    if known[0] == 1:
        shown = np.repeat(shown, 3, 2)
    if values.shape[2] > known[0] and tuple(page.extrasamples)[:1] in ((1,), (2,)):
        opacity = bytes_of(np.ascontiguousarray(values[..., -1:])).astype(np.uint16)
        if page.extrasamples[0] == 2:
            shown = ((shown * opacity + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(shown)
