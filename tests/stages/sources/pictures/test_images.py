import shutil
import struct
import zlib
from collections.abc import Callable
from math import hypot
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hamba_core.errors import BrokenSourceError, SourceError
from stages.packets import Image
from stages.sources import source_for

Fixture = Callable[..., Any]
COLOURS = [(220, 30, 30), (30, 200, 40), (30, 40, 220), (190, 190, 190)]


@pytest.fixture(scope="module")
def save(make_picture: Fixture) -> Fixture:
    """save(path, picture) -> path of a picture file, written by OpenCV."""

    def save(path: Path, picture: Image | None = None, *parameters: int) -> Path:
        picture = make_picture() if picture is None else picture
        done, data = cv2.imencode(path.suffix, picture[..., ::-1] if picture.ndim == 3 else picture, list(parameters))
        assert done
        path.write_bytes(data.tobytes())
        return path

    return save


def with_exif(path: Path, orientation: int, focal: int = 0) -> Path:
    """The JPEG with an orientation and a focal length in its EXIF."""
    tags = [(0x0112, 3, orientation), (0x8769, 4, 38)]
    first = struct.pack("<H", 2) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    own = struct.pack("<HHHII", 1, 0xA405, 3, 1, focal)
    segment = b"Exif\0\0II*\0\x08\0\0\0" + first + bytes(4) + own + bytes(4)
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:])
    return path


def bomb(path: Path, width: int, height: int) -> Path:
    """A tiny PNG file of a huge black picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(((width + 7) // 8 + 1) * height), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm", ".jp2", ".avif"])
def test_a_picture_is_a_source_of_one_frame(
    save: Fixture, read: Fixture, quadrants: Fixture, same_colours: Fixture, tmp_path: Path, suffix: str
) -> None:
    reading = read(save(tmp_path / f"hand{suffix}"))
    assert reading.error is None
    assert (reading.info.kind, reading.info.live, reading.info.frames) == ("image", False, 1)
    assert (reading.info.width, reading.info.height) == (96, 64)
    assert [frame.meta.pts for frame in reading.frames] == [0]
    assert same_colours(quadrants(reading.frames[0].image), COLOURS, within=12)


def test_a_picture_is_known_by_its_content_and_not_its_name(save: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = save(tmp_path / "hand.png").rename(tmp_path / "hand.mp4")
    assert read(path).info.kind == "image"


def test_sixteen_bits_become_eight(save: Fixture, read: Fixture, make_picture: Fixture, tmp_path: Path) -> None:
    for suffix in (".png", ".tiff"):
        deep = make_picture().astype(np.uint16) * 257
        np.testing.assert_allclose(read(save(tmp_path / f"deep{suffix}", deep)).frames[0].image, make_picture(), atol=1)


def test_grey_pictures_become_rgb(save: Fixture, read: Fixture, tmp_path: Path) -> None:
    grey = np.linspace(0, 255, 64 * 96).reshape(64, 96).astype(np.uint8)
    for suffix in (".png", ".jpg"):
        image = read(save(tmp_path / f"grey{suffix}", grey)).frames[0].image
        np.testing.assert_allclose(image, np.repeat(grey[..., None], 3, 2), atol=3)


def test_cmyk_photographs_have_their_colours(
    read: Fixture, make_picture: Fixture, quadrants: Fixture, same_colours: Fixture, tmp_path: Path
) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pillow.fromarray(make_picture()).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert same_colours(quadrants(read(tmp_path / "print.jpg").frames[0].image), COLOURS, within=12)


def test_transparent_parts_are_black(read: Fixture, make_picture: Fixture, tmp_path: Path) -> None:
    pixels = np.dstack([make_picture()[..., ::-1], np.full((64, 96), 255, np.uint8)])
    pixels[:32, :, 3] = 0
    cv2.imwrite(str(tmp_path / "cutout.png"), pixels)
    image = read(tmp_path / "cutout.png").frames[0].image
    assert not image[:32].any()
    np.testing.assert_array_equal(image[32:], make_picture()[32:])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_upright_as_opencv_has_them(
    save: Fixture, read: Fixture, tmp_path: Path, orientation: int
) -> None:
    path = with_exif(save(tmp_path / "photo.jpg"), orientation)
    theirs = cv2.imread(str(path))
    assert theirs is not None
    image = read(path).frames[0].image
    assert image.shape == theirs.shape
    assert np.abs(image.astype(int) - theirs[..., ::-1]).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "avif"])
def test_every_format_is_upright_as_the_jpeg_is(
    save: Fixture, read: Fixture, make_picture: Fixture, tmp_path: Path, suffix: str, orientation: int
) -> None:
    pillow = pytest.importorskip("PIL.Image")
    tags = pillow.Exif()
    tags[0x0112] = orientation
    pillow.fromarray(make_picture()).save(tmp_path / f"photo.{suffix}", exif=tags)
    image = read(tmp_path / f"photo.{suffix}").frames[0].image
    jpeg = read(with_exif(save(tmp_path / "photo.jpg"), orientation)).frames[0].image
    assert image.shape == jpeg.shape
    assert np.abs(image.astype(int) - jpeg).mean() < 4


def test_the_focal_length_of_a_photograph_gives_its_camera(save: Fixture, read: Fixture, tmp_path: Path) -> None:
    reading = read(with_exif(save(tmp_path / "photo.jpg"), 6, focal=26))
    camera = reading.frames[0].meta.camera
    assert camera.fx == pytest.approx(26 / hypot(36, 24) * hypot(96, 64))
    assert (camera.cx, camera.cy, camera.estimated) == (32, 48, True)
    assert reading.info.camera == camera
    assert "26 mm" in reading.choice("camera intrinsics").reason


def test_a_scene_is_read_in_natural_order_at_the_rate_of_the_settings(
    save: Fixture, read: Fixture, make_picture: Fixture, tmp_path: Path
) -> None:
    for number in (10, 2, 1, 33):
        save(tmp_path / f"hand{number}.png", np.full((32, 32, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"no picture")
    (tmp_path / "folder.png").mkdir()
    reading = read(tmp_path, pictures={"rate": 10, "kind": "sequence"})
    assert reading.error is None
    assert [frame.image[0, 0, 0] for frame in reading.frames] == [1, 2, 10, 33]
    assert [frame.meta.name for frame in reading.frames] == [f"hand{number}.png" for number in (1, 2, 10, 33)]
    assert reading.times == pytest.approx([0, 0.1, 0.2, 0.3])
    assert (reading.info.kind, reading.info.frames, reading.info.fps) == ("images", 4, 10)


def test_a_glob_of_a_scene_is_read_in_natural_order(save: Fixture, read: Fixture, tmp_path: Path) -> None:
    for number in (10, 9, 100):
        save(tmp_path / f"left_{number}.png", np.full((32, 32, 3), number, np.uint8))
    save(tmp_path / "right_1.png")
    reading = read(tmp_path / "left_*.png", pictures={"kind": "sequence"})
    assert [frame.image[0, 0, 0] for frame in reading.frames] == [9, 10, 100]


def test_a_glob_without_pictures_says_what_it_found(read: Fixture, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    assert "nothing of that name" in str(read(tmp_path / "*.png").error)
    assert "a.txt" in str(read(tmp_path / "*.txt").error)


def test_pictures_of_different_sizes_have_cameras_of_their_own(
    save: Fixture, read: Fixture, make_picture: Fixture, tmp_path: Path
) -> None:
    for name, size in (("a", (96, 64)), ("b", (64, 96)), ("c", (200, 100))):
        save(tmp_path / f"{name}.png", make_picture(*size))
    reading = read(tmp_path)
    for frame, size in zip(reading.frames, ((96, 64), (64, 96), (200, 100)), strict=True):
        assert (frame.meta.width, frame.meta.height) == size
        assert (frame.meta.camera.cx, frame.meta.camera.cy) == (size[0] / 2, size[1] / 2)


def test_a_broken_picture_among_many_is_passed_over_and_named_at_the_end(
    save: Fixture, read: Fixture, make_picture: Fixture, tmp_path: Path
) -> None:
    for number in range(6):
        save(tmp_path / f"{number}.jpg", make_picture(96, 64))
    for number in (0, 3):
        data = (tmp_path / f"{number}.jpg").read_bytes()
        (tmp_path / f"{number}.jpg").write_bytes(data[: len(data) // 2])
    reading = read(tmp_path)
    assert isinstance(reading.error, BrokenSourceError)
    assert reading.error.exit_status == 3
    assert "0.jpg" in str(reading.error)
    assert "3.jpg" in str(reading.error)
    assert [frame.meta.index for frame in reading.frames] == [0, 1, 2, 3]
    assert reading.times == pytest.approx([1 / 30, 2 / 30, 4 / 30, 5 / 30])


def test_a_folder_of_broken_pictures_is_no_source(save: Fixture, read: Fixture, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    reading = read(tmp_path)
    assert type(reading.error) is SourceError
    assert "0.png" in str(reading.error)
    assert "2 more" in str(reading.error)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
def test_a_picture_that_was_cut_off_is_an_error_that_names_it(
    save: Fixture, read: Fixture, tmp_path: Path, suffix: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    path = save(tmp_path / f"hand{suffix}", noise)
    path.write_bytes(path.read_bytes()[:2000])
    reading = read(path)
    assert type(reading.error) is SourceError
    assert str(path) in str(reading.error)
    assert reading.frames == []


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 3)])
def test_a_picture_too_small_to_show_a_hand_is_an_error(
    save: Fixture, read: Fixture, make_picture: Fixture, tmp_path: Path, size: tuple[int, int]
) -> None:
    reading = read(save(tmp_path / "dot.png", make_picture(*size)))
    assert type(reading.error) is SourceError
    assert f"{size[0]}x{size[1]}" in str(reading.error)


@pytest.mark.parametrize("size", [(20000, 20000), (20000, 100), (60000, 20)])
def test_a_picture_larger_than_the_limit_is_refused_before_it_is_decoded(
    read: Fixture, tmp_path: Path, size: tuple[int, int]
) -> None:
    path = bomb(tmp_path / "bomb.png", *size)
    reading = read(path)
    assert type(reading.error) is SourceError
    assert f"{size[0]}x{size[1]}" in str(reading.error)
    assert "source.decoding.max_side" in str(reading.error)
    assert "8192" in str(reading.error)


def test_the_limit_can_be_raised(read: Fixture, tmp_path: Path) -> None:
    reading = read(bomb(tmp_path / "wide.png", 20000, 100), decoding={"max_side": 20000})
    assert reading.frames[0].image.shape == (100, 20000, 3)


@pytest.mark.parametrize("lie", [(100, 100), (8000, 8000)])
def test_a_header_that_lies_about_the_size_does_no_harm(
    save: Fixture, read: Fixture, tmp_path: Path, lie: tuple[int, int]
) -> None:
    path = save(tmp_path / "liar.png")
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", *lie)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    reading = read(path)
    assert isinstance(reading.error, SourceError) or reading.frames[0].image.shape == (*lie[::-1], 3)


def test_an_animated_gif_is_a_video(read: Fixture, make_picture: Fixture, tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    first, *rest = [pillow.fromarray(np.full((40, 60, 3), value, np.uint8)) for value in (50, 100, 150)]
    first.save(tmp_path / "wave.gif", save_all=True, append_images=rest, duration=100)
    reading = read(tmp_path / "wave.gif")
    assert [frame.image[20, 20, 0] for frame in reading.frames] == [50, 100, 150]
    assert reading.times == pytest.approx([0, 0.1, 0.2])


def test_a_picture_that_vanishes_is_passed_over(save: Fixture, tmp_path: Path) -> None:
    from stages.sources import source_for

    for number in range(3):
        save(tmp_path / f"{number}.png")
    source = source_for(str(tmp_path))
    source.open()
    frames = source.frames()
    next(frames)
    shutil.rmtree(tmp_path)
    with pytest.raises(BrokenSourceError, match=r"1\.png"):
        next(frames)
    source.close()


def test_single_pictures_are_named_and_come_as_a_shell_lists_them(save: Fixture, read: Fixture, tmp_path: Path) -> None:
    for number, name in enumerate(("b10.png", "a.png", "B2.png", "b2.png")):
        save(tmp_path / name, np.full((32, 32, 3), number, np.uint8))
    reading = read(tmp_path)
    assert [frame.meta.name for frame in reading.frames] == sorted(path.name for path in tmp_path.iterdir())
    assert [frame.image[0, 0, 0] for frame in reading.frames] == [2, 1, 0, 3]
    assert (reading.info.stills, reading.info.fps) == (True, None)


def test_pictures_that_are_listed_keep_their_order_and_their_folders_where_names_repeat(
    save: Fixture, read: Fixture, tmp_path: Path
) -> None:
    names = ["z/a.png", "b.png", "y/a.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save(tmp_path / name)
    reading = read(source_for([str(tmp_path / name) for name in names]))
    assert [frame.meta.name for frame in reading.frames] == names
    assert reading.info.name == f"{tmp_path / names[0]} and 2 more"
