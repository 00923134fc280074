"""A lens that nobody told is guessed by the kind of source and a video's tags; how far off that may be is told."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stages.assets import CLIP
from stages.sources import source_for
from stages.sources.lens.lens_guess import NETWORK, PHONE, PICTURES, WEBCAM, guess_of_kind, guess_of_tags

APPLES = "com.apple.quicktime.camera.focal_length.35mm_equivalent"


def field_of_view(focal_35mm: float) -> float:
    """Degrees along the longer side of a picture of 16:9."""
    camera = PICTURES._replace(focal_35mm=focal_35mm).camera(1920, 1080)
    return float(np.degrees(2 * np.arctan(960 / camera.fx)))


@pytest.mark.parametrize(("focal", "angle"), [(26.0, 71.9), (50.0, 41.3)])
def test_a_focal_length_on_film_is_the_angle_that_it_has_there(focal: float, angle: float) -> None:
    """Of the same diagonal: a phone's 26 mm and the normal 50 mm."""
    assert field_of_view(focal) == pytest.approx(angle, abs=0.2)


def test_the_usual_lenses_are_within_two_standard_deviations_of_the_guess_for_files() -> None:
    for focal in (26.0, 28.0, 35.0, 50.0):
        assert abs(focal / PICTURES.focal_35mm - 1) < 2 * PICTURES.focal_std


def test_the_kind_of_source_is_looked_at() -> None:
    assert guess_of_kind("camera") == WEBCAM
    assert guess_of_kind("network") == NETWORK
    assert guess_of_kind("file") == guess_of_kind("image") == guess_of_kind("images") == PICTURES
    camera = WEBCAM.camera(640, 480)
    assert camera.estimated
    assert camera.focal_std == WEBCAM.focal_std


def test_tags_tell_the_lens_or_that_a_phone_filmed() -> None:
    told = guess_of_tags({"encoder": "x", APPLES: "26"})
    assert told is not None
    assert (told.focal_35mm, told.focal_std) == (26, 0.05)
    assert guess_of_tags({"com.android.version": "14"}) == PHONE
    assert guess_of_tags({"com.apple.quicktime.model": "iPhone 15", APPLES: "far"}) == PHONE
    assert guess_of_tags({"encoder": "Lavf"}) is None


def write(path: Path, tags: dict[str, str]) -> None:
    with av.open(path, "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata.update(tags)
        stream = container.add_stream("libx264", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((180, 320, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize(("tags", "focal"), [({APPLES: "24"}, 24.0), ({"com.android.version": "14"}, 29.0), ({}, 36.0)])
def test_a_videos_camera_is_what_its_tags_say(tags: dict[str, str], focal: float, tmp_path: Path) -> None:
    write(tmp_path / "clip.mp4", tags)
    source = source_for(str(tmp_path / "clip.mp4"))
    camera = source.open().camera
    assert camera.fx == pytest.approx(focal / 43.267 * np.hypot(320, 180), rel=1e-3)
    assert camera.estimated
    assert any(f"{focal:g} mm" in choice.reason or "assumed" in choice.reason for choice in source.choices())
    source.close()


def test_the_shipped_clip_tells_its_lens() -> None:
    source = source_for(str(CLIP))
    camera = source.open().camera
    source.close()
    assert np.degrees(2 * np.arctan(camera.cx / camera.fx)) == pytest.approx(60, abs=0.1)
