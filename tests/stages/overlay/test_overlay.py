"""The overlay: a video that plays anywhere, with the hands where they are, whatever the frames are like."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import pytest

from hamba_core.errors import DependencyError, OutputError
from stages.overlay import Overlay, OverlaySettings, video_file
from stages.packets import FrameResult, Hand, Image, RunInfo
from stages.recording import Recorder

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]
WRITER = Path(__file__).parents[1] / "write_repeatedly.py"


class Video(NamedTuple):
    frames: list[Image]
    times: list[float]
    codec: str
    duration: float


def watch(path: Path) -> Video:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        stream = container.streams.video[0]
        pictures = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]
        return Video(
            pictures,
            [frame.time or 0.0 for frame in frames],
            stream.codec_context.name,
            (container.duration or 0) / 1e6,
        )


def draw(path: Path, run: RunInfo, results: list[FrameResult], options: OverlaySettings | None = None) -> Overlay:
    overlay = Overlay(path, options)
    overlay.open(run)
    for result in results:
        overlay.write(result)
    overlay.close()
    return overlay


def grey(width: int, height: int) -> Image:
    return np.full((height, width, 3), 128, np.uint8)


def test_the_video_has_every_frame_at_its_own_time(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> None:
    times = [0.0, 0.04, 0.05, 0.3, 0.31, 1.0, 1.5]
    results = [make_result(i, pts=2 + t, image=True) for i, t in enumerate(times)]
    overlay = draw(tmp_path / "overlay.mp4", make_run(), results)
    video = watch(tmp_path / "overlay.mp4")
    assert video.times == pytest.approx(times, abs=1e-4)
    assert [frame.shape for frame in video.frames] == [(480, 640, 3)] * 7
    assert (video.codec, overlay.choices()[0].chosen, overlay.choices()[0].fallback) == ("h264", "libx264", False)


def test_what_is_written_plays_in_browsers(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> None:
    draw(tmp_path / "a.mp4", make_run(), [make_result(i, image=True) for i in range(3)])
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.pix_fmt, context.colorspace, context.color_range) == ("yuv420p", 6, 1)
    assert b"moov" in (tmp_path / "a.mp4").read_bytes()


def test_colours_come_out_as_they_went_in(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (230, 200, 170), (90, 90, 90)]
    results = [
        make_result(i, hands=0, image=np.full((480, 640, 3), colour, np.uint8)) for i, colour in enumerate(colours)
    ]
    draw(tmp_path / "a.mp4", make_run(), results)
    for frame, colour in zip(watch(tmp_path / "a.mp4").frames, colours, strict=True):
        np.testing.assert_allclose(frame[200, 300], colour, atol=6)


def test_hands_are_drawn_where_they_are_and_nowhere_else(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    result = make_result(hands=2, image=grey(640, 480))
    draw(tmp_path / "a.mp4", make_run(), [result], OverlaySettings(labels=False, skeletons=False))
    frame = watch(tmp_path / "a.mp4").frames[0].astype(int)
    colourful = frame.max(2) - frame.min(2) > 30
    inside = np.zeros((480, 640), bool)
    for hand, warm in zip(result.hands, (True, False), strict=True):
        left, top, right, bottom = (round(float(v)) for v in hand.box)
        inside[max(top - 4, 0) : bottom + 4, max(left - 4, 0) : right + 4] = True
        palm = np.round(hand.joints_2d[[0, 9]].mean(0)).astype(int)
        red, _, blue = frame[palm[1], palm[0]]
        assert (red > blue) == warm, "right hands are orange, left ones blue"
    assert colourful[inside].mean() > 0.2
    assert colourful[~inside].mean() < 0.001


def test_skeletons_have_the_colours_of_fingers(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> None:
    result = make_result(hands=1, image=grey(640, 480))
    draw(tmp_path / "a.mp4", make_run(), [result], OverlaySettings(meshes=False, labels=False))
    frame = watch(tmp_path / "a.mp4").frames[0].astype(int)
    thumb, ring = (np.round(result.hands[0].joints_2d[joint] - 0.5).astype(int) for joint in (4, 16))
    assert frame[thumb[1], thumb[0]].argmax() == 0
    assert frame[ring[1], ring[0]].argmax() == 2


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (641, 481), (101, 57), (640, 480)])
def test_pictures_of_any_size_are_shown_whole(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult, size: tuple[int, int]
) -> None:
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : (width + 1) // 2, 0] = 255
    draw(tmp_path / "a.mp4", make_run(), [make_result(hands=0, size=size, image=picture)])
    frame = watch(tmp_path / "a.mp4").frames[0]
    assert all(side % 2 == 0 for side in frame.shape[:2])
    if min(size) > 50:
        assert frame.shape[:2] == (height + height % 2, width + width % 2)
        np.testing.assert_allclose(frame[height // 2, 5], (255, 0, 0), atol=12)
        np.testing.assert_allclose(frame[height // 2, width - 5], (0, 0, 0), atol=12)


def test_a_large_picture_is_made_smaller_with_its_hands(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    size = (3840, 2160)
    result = make_result(hands=1, size=size, image=grey(*size))
    draw(tmp_path / "a.mp4", make_run(), [result], OverlaySettings(longest_side=960, labels=False))
    frame = watch(tmp_path / "a.mp4").frames[0].astype(int)
    assert frame.shape == (540, 960, 3)
    rows, columns = np.nonzero(frame.max(2) - frame.min(2) > 30)
    np.testing.assert_allclose(
        [columns.min(), rows.min(), columns.max(), rows.max()], result.hands[0].box / 4, atol=4
    )  # fmt: skip


def test_a_stream_that_changes_its_size_is_fitted_into_the_first_one(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    results = [
        make_result(0, hands=1, image=grey(640, 480)),
        make_result(1, hands=1, size=(240, 480), image=grey(240, 480)),
        make_result(2, hands=1, size=(1280, 960), image=grey(1280, 960)),
    ]
    draw(tmp_path / "a.mp4", make_run(), results, OverlaySettings(labels=False, skeletons=False))
    first, tall, large = (frame.astype(int) for frame in watch(tmp_path / "a.mp4").frames)
    assert first.shape == tall.shape == large.shape
    assert tall[:, :190].max() < 20, "beside a tall picture it is black"
    assert tall[240, 210:220].min() > 100
    np.testing.assert_allclose(large.mean((0, 1)), first.mean((0, 1)), atol=3)


def test_results_without_a_picture_are_drawn_on_a_plain_one(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    draw(tmp_path / "a.mp4", make_run(), [make_result(hands=2)])
    frame = watch(tmp_path / "a.mp4").frames[0]
    assert frame[5, 5].max() < 60
    assert frame.max() > 150


def test_hands_without_vertices_have_a_skeleton(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult, make_hand: Callable[..., Hand]
) -> None:
    result = make_result(hands=(make_hand(vertices=False),), image=grey(640, 480))
    draw(tmp_path / "a.mp4", make_run(), [result])
    assert (watch(tmp_path / "a.mp4").frames[0].max(2) > 200).any()


def test_the_pictures_of_the_run_stay_as_they_were(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> None:
    picture = grey(640, 480)
    draw(tmp_path / "a.mp4", make_run(), [make_result(image=picture)])
    assert (picture == 128).all()


def test_times_that_stand_still_or_go_back_still_make_a_video(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    draw(tmp_path / "a.mp4", make_run(), [make_result(i, pts=t, image=True) for i, t in enumerate((1, 1, 0.5, 2))])
    times = watch(tmp_path / "a.mp4").times
    assert len(times) == 4
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(1, abs=1e-3)


def test_a_contact_sheet_shows_frames_of_the_whole_run(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    results = [make_result(i, hands=int(i >= 10), image=np.full((480, 640, 3), i, np.uint8)) for i in range(100)]
    draw(tmp_path / "overlay.mp4", make_run(), results)
    sheet = cv2.imread(str(tmp_path / "preview.png"))
    assert sheet is not None
    assert sheet.shape == (2 * 276 + 6, 4 * 366 + 6, 3)
    corners = [int(sheet[10 + 276 * row, 10 + 366 * column].max()) for row in range(2) for column in range(4)]
    assert corners == sorted(corners)
    assert corners[0] >= 10, "frames with hands come first"
    assert corners[-1] > 85


def test_a_contact_sheet_has_room_for_pictures_of_every_shape(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    sizes = [(640, 480), (300, 600), (800, 100)]
    overlay = Overlay(tmp_path / "overlay.mp4", stills=True)
    overlay.open(make_run())
    for i, size in enumerate(sizes):
        overlay.write(make_result(i, hands=0, size=size, image=np.full((*size[::-1], 3), 200, np.uint8)))
    overlay.close()
    sheet = cv2.imread(str(tmp_path / "preview.png"))
    assert sheet is not None
    assert sheet.shape == (360 + 12, 3 * 366 + 6, 3)
    for i, (width, height) in enumerate(sizes):
        cell = sheet[6:366, 6 + 366 * i : 366 * (i + 1)].max(2) >= 199
        shown = np.flatnonzero(cell.any(1)), np.flatnonzero(cell.any(0))
        scale = 360 / max(width, height)
        assert [axis[-1] - axis[0] + 1 for axis in shown] == [round(height * scale), round(width * scale)]
        assert [(axis[0] + axis[-1] + 1) / 2 for axis in shown] == pytest.approx([180, 180], abs=0.5)


def test_single_pictures_are_drawn_into_files_of_their_names(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    names = ["shot.jpg", "shot.png", "two/shot.png", "", "shot.webp"]
    overlay = Overlay(tmp_path / "overlay.mp4", stills=True)
    overlay.open(make_run())
    for i, name in enumerate(names):
        result = make_result(i, hands=0, size=(64, 48), image=np.full((48, 64, 3), 40 * i, np.uint8))
        overlay.write(replace(result, frame=replace(result.frame, name=name)))
    overlay.close()
    expected = ["shot", "shot.png", "two-shot.png", "0004", "shot.webp"]
    for i, name in enumerate(expected):
        picture = cv2.imread(str(tmp_path / f"overlay-{name}.jpg"))
        assert picture is not None
        assert abs(int(picture[24, 32, 0]) - 40 * i) < 4
    assert len(list(tmp_path.glob("overlay-*.jpg"))) == len(names)


def test_a_run_without_frames_leaves_no_video(tmp_path: Path, make_run: MakeRun) -> None:
    draw(tmp_path / "overlay.mp4", make_run(), [])
    assert list(tmp_path.iterdir()) == []


def test_an_existing_video_is_never_overwritten(tmp_path: Path, make_run: MakeRun) -> None:
    (tmp_path / "a.mp4").write_text("precious")
    overlay = Overlay(tmp_path / "a.mp4")
    with pytest.raises(OutputError, match=r"a\.mp4: expected no such file yet"):
        overlay.open(make_run())
    overlay.close()
    assert (tmp_path / "a.mp4").read_text() == "precious"


def test_another_encoder_is_used_where_the_wished_one_is_missing(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_file, "ENCODERS", {"no-such-encoder": {}, "mpeg4": video_file.ENCODERS["mpeg4"]})
    overlay = draw(tmp_path / "a.mp4", make_run(), [make_result(i, image=True) for i in range(3)])
    (choice,) = overlay.choices()
    assert (choice.chosen, choice.fallback) == ("mpeg4", True)
    assert "no-such-encoder" in choice.reason
    assert len(watch(tmp_path / "a.mp4").frames) == 3


def test_a_machine_without_an_encoder_is_told_what_to_do(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_file, "ENCODERS", {"no-such-encoder": {}})
    with pytest.raises(DependencyError, match="--no-overlay"):
        Overlay(tmp_path / "a.mp4").open(make_run())


@pytest.mark.parametrize("missing", ["av", "cv2"])
def test_a_machine_without_pyav_or_opencv_is_told_what_to_do(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for module in ("stages.overlay.video_file", "stages.overlay.contact_sheet", "stages.overlay.drawing"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DependencyError, match=rf"{missing}.*pip install av opencv-contrib-python"):
        Overlay(tmp_path / "a.mp4").open(make_run())


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    program = "import sys, stages.overlay, stages.recording, stages.recording.summary; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"av", "cv2", "mcap", "zstandard", "torch", "open3d", "mediapipe", "scipy"} & set(output.split())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, make_run: MakeRun, make_result: MakeResult) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "a.mcap"
    recorder = Recorder(path)
    recorder.open(make_run())
    for i in range(5):
        recorder.write(make_result(i))
    recorder.close()
    return path


def test_the_video_of_a_killed_run_plays(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    program: list[Any] = [sys.executable, WRITER, "overlay", recorded, path]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        for line in writer.stdout:
            if line.startswith("100 "):
                writer.send_signal(signal.SIGKILL)
                break
    video = watch(path)
    # The encoder holds back some frames, and a fragment begins with a key frame, each 30 frames.
    assert len(video.frames) >= 40
    assert video.times[:3] == pytest.approx([0, 1 / 120, 2 / 120], abs=1e-3)


def test_a_full_disk_is_an_error_and_the_video_plays(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    program: list[Any] = [sys.executable, WRITER, "overlay", recorded, path, "1000", "1000000"]
    ended = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert "a.mp4: expected to be able to write, found: File too large" in ended.stderr
    assert ended.returncode == 2
    assert path.stat().st_size <= 1_000_000
    assert len(watch(path).frames) >= 3
