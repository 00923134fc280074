"""A region of the picture: exactly those pixels, with exactly that part's camera."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from hamba_core.errors import ConfigurationError, SourceError
from hamba_core.view import Intrinsics
from stages.contract import Source
from stages.packets import Frame, FrameMeta, SourceInfo
from stages.sources import SourceSettings, source_for
from stages.sources.regions import Region, RegionSource

Fixture = Callable[..., Any]


class Given(Source):
    """It gives pictures of these sizes, each pixel of which is another."""

    def __init__(self, sizes: list[tuple[int, int]], camera: Intrinsics) -> None:
        self.sizes, self.camera = sizes, camera

    def open(self) -> SourceInfo:
        width, height = self.sizes[0]
        return SourceInfo(
            name="given", kind="images", live=False, width=width, height=height, fps=30, frames=None, camera=self.camera
        )

    def frames(self) -> Iterator[Frame | None]:
        for index, (width, height) in enumerate(self.sizes):
            yield None
            meta = FrameMeta("hands", index, index / 30, index, width, height, self.camera)
            rows, columns = np.indices((height, width))
            yield Frame(meta, np.stack([rows, columns, rows // 256 * 16 + columns // 256], -1).astype(np.uint8))


@st.composite
def placed(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    width, height = draw(st.integers(16, 700)), draw(st.integers(16, 700))
    left, top = draw(st.integers(0, width - 16)), draw(st.integers(0, height - 16))
    return (width, height), (left, top, draw(st.integers(16, width - left)), draw(st.integers(16, height - top)))


@settings(max_examples=60, deadline=None)
@given(placed(), st.floats(100, 2000), st.floats(-50, 800), st.floats(-50, 800))
def test_pixels_and_rays_of_a_region_are_those_of_the_whole_there(
    place: tuple[tuple[int, int], tuple[int, int, int, int]], focal: float, cx: float, cy: float
) -> None:
    size, (x, y, w, h) = place
    camera = Intrinsics(focal, 0.9 * focal, cx, cy)
    whole = next(frame for frame in Given([size], camera).frames() if frame is not None)
    source = RegionSource(Given([size], camera), Region.parse(f"{x},{y},{w},{h}"))
    info = source.open()
    (part,) = [frame for frame in source.frames() if frame is not None]
    assert (info.width, info.height) == (part.meta.width, part.meta.height) == (w, h)
    np.testing.assert_array_equal(part.image, whole.image[y : y + h, x : x + w])
    pixels = np.array([(0, 0), (w, 0), (w / 3, h / 2), (w, h)])
    np.testing.assert_allclose(part.meta.camera.rays(pixels), camera.rays(pixels + np.array([x, y])), atol=1e-9)
    assert info.camera == part.meta.camera
    assert (part.meta.camera.fx, part.meta.camera.focal_std) == (camera.fx, camera.focal_std)


@settings(max_examples=200, deadline=None)
@given(st.integers(100, 5000), st.floats(0.2, 0.8))
def test_shares_that_meet_leave_no_pixel_out_and_give_none_twice(width: int, share: float) -> None:
    left = Region.parse(f"0,0,{share!r},1").within(width, 100)
    right = Region.parse(f"{share!r},0,{1 - share!r},1").within(width, 100)
    assert left[2] == right[0]
    assert (left[0], right[2]) == (0, width)


def test_shares_follow_pictures_that_change_their_size() -> None:
    source = RegionSource(Given([(100, 80), (200, 40)], Intrinsics(100, 100, 50, 40)), Region.parse("0.5,0.5,0.5,0.5"))
    source.open()
    frames = [frame for frame in source.frames() if frame is not None]
    assert [frame.image.shape for frame in frames] == [(40, 50, 3), (20, 100, 3)]
    assert [(frame.meta.camera.cx, frame.meta.camera.cy) for frame in frames] == [(0, 0), (-50, 20)]


def test_pixels_do_not_follow_and_say_so_where_they_are_no_longer_inside() -> None:
    source = RegionSource(Given([(100, 80), (60, 80)], Intrinsics(100, 100, 50, 40)), Region.parse("50,0,50,80"))
    source.open()
    frames = (frame for frame in source.frames() if frame is not None)
    assert next(frames).meta.width == 50
    with pytest.raises(SourceError, match=r"frame 1: .* found one up to \(100, 80\)"):
        next(frames)


@pytest.mark.parametrize("text", ["10,0,100,80", "0,0,8,80", "0.9,0,0.1,1"])
def test_a_region_that_is_not_inside_or_too_small_is_an_error_at_once(text: str) -> None:
    source = RegionSource(Given([(100, 80)], Intrinsics(100, 100, 50, 40)), Region.parse(text))
    with pytest.raises(ConfigurationError, match=r"source\.region"):
        source.open()


WRONG = ["", "a", "1,2,3", "1,2,3,4,5", "0.5,0,0.6,1", "1.5,0,30,40", "0,0,0,1", "-1,0,40,40", "0,0,nan,1"]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        SourceSettings(region=text)


def test_it_may_be_a_list() -> None:
    assert SourceSettings.model_validate({"region": [0.5, 0, 0.5, 1]}).region == "0.5,0,0.5,1"


def test_every_kind_of_source_can_be_cut(
    make_video: Fixture, make_picture: Fixture, tmp_path: Path, read: Fixture
) -> None:
    import cv2

    picture = make_picture()
    cv2.imwrite(str(tmp_path / "still.png"), picture[..., ::-1])
    video = make_video(tmp_path / "clip.mp4")
    for name in (tmp_path / "still.png", video):
        reading = read(name, region="48,0,48,32")  # the green quarter
        assert reading.error is None
        assert (reading.info.width, reading.info.height) == (48, 32)
        np.testing.assert_allclose(reading.frames[0].image[8:-8, 8:-8].mean((0, 1)), (30, 200, 40), atol=8)
        assert reading.choice("region").chosen == "48x32 at (48, 0) of 96x64"
        whole = read(name)
        assert reading.frames[0].meta.camera.cx == whole.frames[0].meta.camera.cx - 48
        assert reading.frames[0].meta.camera.estimated
    pattern = "synthetic:?width=320&height=240&seconds=0.2&fps=10"
    whole, part = read(pattern), read(pattern, region="0.5,0,0.5,1")
    np.testing.assert_array_equal(part.frames[1].image, whole.frames[1].image[:, 160:])


def test_a_given_lens_is_that_of_the_whole_picture(make_video: Fixture, tmp_path: Path, read: Fixture) -> None:
    video = make_video(tmp_path / "clip.mp4")
    reading = read(video, region="48,0,48,32", lens={"fx": 80, "fy": 80, "cx": 50, "cy": 30})
    assert reading.frames[0].meta.camera == Intrinsics(80, 80, 2, 30)


def test_a_region_and_the_files_own_rate_go_together(make_video: Fixture, tmp_path: Path) -> None:
    source = source_for(str(make_video(tmp_path / "clip.mp4")), SourceSettings(region="0,0,0.5,1", realtime=True))
    assert source.open().width == 48
    assert {"region", "pace"} <= {choice.subject for choice in source.choices()}
    source.close()


def test_what_the_source_says_of_itself_comes_through() -> None:
    class Watched(Given):
        def skipped(self) -> dict[str, int]:
            return {"too old": 3}

    source = RegionSource(Watched([(100, 80)], Intrinsics(100, 100, 50, 40)), Region.parse("0,0,0.5,1"))
    assert source.skipped() == {"too old": 3}
    assert source.status() is None
