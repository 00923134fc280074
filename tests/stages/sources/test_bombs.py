"""Pictures of a few kilobytes that unpack to gigabytes, or take hours."""

import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from hamba_core.errors import SourceError
from stages.sources import SourceSettings, source_for
from stages.sources.headers import gif_pixels, without_packed_texts
from stages.sources.settings import DecodingSettings


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks: bytes) -> bytes:
    """A picture of noise with these chunks before its data."""
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    whole = cv2.imencode(".png", image)[1].tobytes()
    return whole[:33] + b"".join(chunks) + whole[33:]


def packed(size: int) -> bytes:
    """Zeros, packed: a mebibyte of them is packed once, and stands there many times."""
    packer = zlib.compressobj(9, wbits=-15)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (size % 65521) << 16 | 1  # Adler-32 of zeros
    return b"\x78\xda" + piece * (size >> 20) + b"\x03\0" + struct.pack(">I", checksum)


def test_zeros_are_packed_right() -> None:
    assert zlib.decompress(packed(3 << 20)) == bytes(3 << 20)


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
def test_packed_texts_and_profiles_of_a_png_take_no_memory(tmp_path: Path, kind: str) -> None:
    name = b"a\0\0" if kind != "iTXt" else b"a\0\1\0\0\0"
    (tmp_path / "bomb.png").write_bytes(png(chunk(kind.encode(), name + packed(1 << 30))))
    program = r"""
import re, sys
from pathlib import Path
from stages.sources import source_for
source = source_for(sys.argv[1])
source.open()
assert len(list(source.frames())) == 1
# Not getrusage's ru_maxrss, which a child inherits from the process that started it.
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""
    child = subprocess.run([sys.executable, "-c", program, str(tmp_path / "bomb.png")], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 500 << 10, child.stdout  # kB, most of it Python and its packages


def test_a_png_without_its_texts_is_the_same_picture(tmp_path: Path) -> None:
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"hello"))
    assert without_packed_texts(png(text)) == png()
    assert without_packed_texts(png()[:50] + b"\xff" * 20).startswith(png()[:33])
    assert without_packed_texts(b"\xff\xd8\xff rest") == b"\xff\xd8\xff rest"


def gif(side: int, pictures: int) -> bytes:
    """A GIF with one pixel in each of its pictures."""
    head = b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + bytes(6)
    picture = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0"
    return head + (b"\x21\xf9\x04\0\x05\0\0\0" + picture) * pictures + b";"


def test_a_small_gif_of_thousands_of_huge_pictures_is_refused_by_the_name_of_the_setting(tmp_path: Path) -> None:
    (tmp_path / "bomb.gif").write_bytes(gif(8000, 5000))
    assert (tmp_path / "bomb.gif").stat().st_size < 150_000
    with pytest.raises(SourceError, match=r"source\.decoding\.max_gif_pixels"):
        source_for(str(tmp_path / "bomb.gif")).open()
    settings = SourceSettings(decoding=DecodingSettings(max_gif_pixels=1000))
    (tmp_path / "small.gif").write_bytes(gif(64, 3))
    with pytest.raises(SourceError, match=r"max_gif_pixels"):
        source_for(str(tmp_path / "small.gif"), settings).open()


def test_the_pixels_of_a_gif_are_counted(tmp_path: Path) -> None:
    pictures = [PillowImage.fromarray(np.full((48, 64), 40 * i, np.uint8)) for i in range(5)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=40, comment=b"hello")
    assert gif_pixels((tmp_path / "a.gif").read_bytes()) == 5 * 48 * 64
    assert gif_pixels(b"GIF89a") == gif_pixels(b"no gif") == gif_pixels(b"GIF89a" + bytes(4)) == 0
    source = source_for(str(tmp_path / "a.gif"))
    source.open()
    assert len(list(source.frames())) == 5
    source.close()


def test_a_tiff_of_more_pages_than_can_be_counted_is_refused_at_once(tmp_path: Path) -> None:
    count, size = 20_000, 2 + 9 * 12 + 4
    pixels_at = 8 + count * size
    tags = ((256, 64), (257, 48), (258, 8), (259, 1), (262, 1), (273, pixels_at), (277, 1), (278, 48), (279, 64 * 48))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    pages = (
        struct.pack("<H", len(tags)) + entries + struct.pack("<I", 8 + number * size if number < count else 0)
        for number in range(1, count + 1)
    )
    path = tmp_path / "pages.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + b"".join(pages) + bytes(64 * 48))
    with pytest.raises(SourceError, match=rf"{path}.*10,000 pages"):
        source_for(str(path))


def test_an_animation_of_more_pixels_than_allowed_is_refused(tmp_path: Path) -> None:
    shown = [PillowImage.new("RGB", (64, 48), (number, 0, 0)) for number in range(10)]
    shown[0].save(tmp_path / "moving.png", save_all=True, append_images=shown[1:])
    settings = SourceSettings(decoding=DecodingSettings(max_gif_pixels=9 * 64 * 48))
    source = source_for(str(tmp_path / "moving.png"), settings)
    with pytest.raises(SourceError, match=r"max_gif_pixels"):
        source.open()
    source.close()


@pytest.mark.parametrize(
    ("tag", "value", "found"), [(277, 65535, "grey or RGB picture"), (257, 8192, "picture of at most 1024 MiB")]
)
def test_what_a_tiff_says_of_itself_takes_no_memory_before_it_is_there(
    tag: int, value: int, found: str, tmp_path: Path
) -> None:
    """One says that it has 65,535 samples a pixel, one that it has 8192 x 8192 pixels of three doubles each."""
    picture = np.zeros((48, 8192, 3)) if tag == 257 else np.zeros((48, 64, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb", metadata=None, compression="zlib")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    at = struct.unpack_from("<I", data, 4)[0]
    (place,) = (
        place
        for place in range(at + 2, at + 2 + 12 * struct.unpack_from("<H", data, at)[0], 12)
        if struct.unpack_from("<H", data, place)[0] == tag
    )
    struct.pack_into("<HII", data, place + 2, 4, 1, value)
    (tmp_path / "a.tif").write_bytes(data)
    tracemalloc.start()
    try:
        source = source_for(str(tmp_path / "a.tif"))
        with pytest.raises(SourceError, match=f"expected a {found}"):
            source.open()
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
