"""Hands as a video: over the pictures that they were seen in, or from anywhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from hamba_core.arrays import Float32Array
from hamba_core.errors import ConfigurationError, SourceError
from stages.export import ExportSettings, export
from stages.export.formats.orbit import Orbit
from stages.export.tracks import Selection
from stages.packets import FrameResult, Image, RunInfo
from stages.recording import Recorder
from stages.sources import source_for

SOURCE = "synthetic:?seconds=1&fps=10&width=320&height=240"

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]
Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> Record:
    """record(pts, settings, size, hands) -> file of a run of SOURCE whose frames came at these times."""

    def make(
        pts: list[float] | None = None,
        settings: dict[str, Any] | None = None,
        size: tuple[int, int] = (320, 240),
        hands: int = 2,
    ) -> Path:
        run = make_run(size=size, fps=10.0)
        run = replace(run, source=replace(run.source, name=SOURCE), settings=settings or {})
        recorder = Recorder(tmp_path / "recorded" / "hands.mcap")
        recorder.open(run)
        for index, seconds in enumerate(pts or [i / 10 for i in range(10)]):
            recorder.write(make_result(index, hands, pts=seconds, size=size))
        recorder.close()
        return tmp_path / "recorded" / "hands.mcap"

    return make


@pytest.fixture(scope="module")
def seen() -> list[Image]:
    """The pictures of SOURCE."""
    source = source_for(SOURCE)
    source.open()
    pictures: list[Image] = [frame.image for frame in source.frames() if frame]
    source.close()
    return pictures


def drawn(recording: Path, out: Path, **settings: Any) -> list[Image]:
    """The pictures of the exported video."""
    (path,) = export(recording, out, ExportSettings(formats=("mp4",), **settings))
    assert sorted(entry.name for entry in out.iterdir()) == [path.name]
    with av.open(str(path)) as video:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in video.decode(video=0)]


def difference(one: Image, other: Image) -> float:
    """Of the lower part, where the hands of these tests are not, without the noise that encoding takes away."""
    return float(np.abs(cv2.blur(one[-40:], (7, 7)).astype(int) - cv2.blur(other[-40:], (7, 7))).mean())


def test_hands_are_drawn_over_the_pictures_that_they_were_seen_in(
    record: Record, seen: list[Image], tmp_path: Path
) -> None:
    pictures = drawn(record(), tmp_path / "out", source=SOURCE)
    assert len(pictures) == 10
    for picture, own in zip(pictures, seen, strict=True):
        assert difference(picture, own) < 3
        assert np.abs(picture.astype(int) - own).mean() > 2, "hands are drawn"


def test_frames_that_the_recording_lacks_are_passed_over(record: Record, tmp_path: Path, seen: list[Image]) -> None:
    pictures = drawn(record(), tmp_path / "out", source=SOURCE, start=0.35, end=0.65)
    assert len(pictures) == 3
    for picture, index in zip(pictures, (4, 5, 6), strict=True):
        differences = [np.abs(picture.astype(int) - own).mean() for own in seen]
        assert np.argmin(differences) == index


def test_a_mirrored_source_is_turned_back(record: Record, seen: list[Image], tmp_path: Path) -> None:
    pictures = drawn(record(settings={"detect": {"mirror": True}}), tmp_path / "out", source=SOURCE)
    assert difference(pictures[0], seen[0][:, ::-1]) < 3 < difference(pictures[0], seen[0])


@pytest.mark.parametrize(
    ("recorded", "source", "words"),
    [
        ({"size": (640, 480)}, SOURCE, r"frame 0 does not match: it is 320x240, recorded as 640x480"),
        (
            {"pts": [i / 15 for i in range(10)]},
            SOURCE,
            r"frame 1 does not match: it is at 0\.100 s, recorded at 0\.067",
        ),
        ({}, SOURCE.replace("seconds=1", "seconds=0.5"), r"frame 5 does not match: the source ends before it"),
        ({"settings": {"source": {"from_the_future": 1}}}, SOURCE, r"found some unknown: .*from_the_future"),
        ({}, "missing.mp4", r"missing\.mp4: expected a file"),
    ],
)
def test_another_source_than_the_recorded_one_is_refused_and_nothing_is_left(
    recorded: dict[str, Any], source: str, words: str, record: Record, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=words.replace(": .*", r"(.|\n)*")):
        drawn(record(**recorded), tmp_path / "out", source=source)
    assert not list((tmp_path / "out").iterdir())


def test_a_live_source_cannot_be_read_again(record: Record, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"file.*recorded.*live"):
        drawn(record(), tmp_path / "out", source="rtsp://camera/")


def test_without_a_source_the_camera_sees_the_hands_where_they_were_before_a_floor(
    record: Record, tmp_path: Path, make_result: MakeResult
) -> None:
    picture = drawn(record(), tmp_path / "out")[0].astype(int)
    left, right = make_result(0, 2, size=(320, 240)).hands[1], make_result(0, 2, size=(320, 240)).hands[0]
    for hand, warm in ((left, False), (right, True)):
        x, y = hand.joints_2d[[0, 5, 9, 13, 17]].mean(0).round().astype(int)
        if 3 < x < 317 and 3 < y < 237:
            red, _, blue = picture[y - 3 : y + 3, x - 3 : x + 3].reshape(-1, 3).mean(0)
            assert (red > blue) == warm
    assert picture[:20].max() < 90, "the background is dark"


def joints_of(selection: Selection) -> Float32Array:
    """Of the first frame of the first track."""
    joints: Float32Array = selection.tracks[0].read(0, 1)["joints"][0]
    return joints


@pytest.fixture
def selection(record: Record, tmp_path: Path) -> Selection:
    from stages.export.tracks import select_tracks
    from stages.recording import read_recording

    return select_tracks(read_recording(record(hands=1)), ExportSettings(), tmp_path / "tracks", lambda share: None)


def test_the_view_turns_about_the_hands_without_bending_them(selection: Selection) -> None:
    joints = joints_of(selection).astype(np.float64)
    own = Orbit.about(selection.tracks, ExportSettings())
    np.testing.assert_allclose(own.seen(joints), joints, atol=1e-9)

    view = Orbit.about(selection.tracks, ExportSettings(azimuth=70, elevation=-40, distance=0.9))
    np.testing.assert_allclose(view.seen(own.middle), [0, 0, 0.9], atol=1e-9)
    turned = view.seen(joints)
    np.testing.assert_allclose(
        np.linalg.norm(turned - turned[0], axis=1), np.linalg.norm(joints - joints[0], axis=1), atol=1e-9
    )
    assert np.linalg.det(view.R_view_camera) == pytest.approx(1)


def test_azimuth_goes_to_the_right_of_the_picture_and_elevation_up(selection: Selection) -> None:
    middle = Orbit.about(selection.tracks, ExportSettings()).middle
    nearer_right, nearer_top = middle + np.array([0.1, 0, 0]), middle + np.array([0, -0.1, 0])
    from_right = Orbit.about(selection.tracks, ExportSettings(azimuth=60))
    assert from_right.seen(nearer_right)[2] < from_right.seen(middle)[2]
    from_above = Orbit.about(selection.tracks, ExportSettings(elevation=60))
    assert from_above.seen(nearer_top)[2] < from_above.seen(middle)[2]


def test_a_hand_that_would_be_behind_the_camera_is_left_out(selection: Selection, make_result: MakeResult) -> None:
    near = Orbit.about(selection.tracks, ExportSettings(distance=0.02))
    result = make_result(0, 1, size=(320, 240))
    assert not near.picture(result, np.zeros((240, 320, 3), np.uint8)).hands
