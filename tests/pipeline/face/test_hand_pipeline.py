"""Hands in the caller's own pictures."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as PILImage

from hamba_core.errors import ConfigurationError, PacketError, PipelineError, SourceError
from hamba_core.view import Intrinsics
from pipeline import HandPipeline, track_hands
from stages.assets import CLIP
from stages.packets import FrameResult, Image
from stages.reconstruction import Estimator
from stages.sources import source_for

FRAMES = 8


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    """The first frames of the shipped clip, RGB."""
    with av.open(str(CLIP)) as container:
        return [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for frame in islice(container.decode(video=0), FRAMES)
        ]


@pytest.fixture(scope="module")
def hands() -> Iterator[HandPipeline]:
    with HandPipeline(estimator="landmarks") as pipeline:
        yield pipeline


def same(first: FrameResult, second: FrameResult) -> bool:
    return [hand.side for hand in first.hands] == [hand.side for hand in second.hands] and all(
        np.array_equal(one.vertices, other.vertices) for one, other in zip(first.hands, second.hands, strict=True)
    )


def test_frame_by_frame_it_gives_what_a_run_gives(frames: list[Image]) -> None:
    source = source_for(str(CLIP))
    camera = source.open().camera  # which the file tells, and a picture does not
    source.close()
    with (
        HandPipeline(estimator="landmarks", intrinsics=camera) as pipeline,
        track_hands(CLIP, estimator="landmarks") as tracked,
    ):
        for image, expected in zip(frames, islice(tracked, FRAMES), strict=True):
            result = pipeline(image, pts=expected.frame.pts)
            assert len(result.hands) == 2
            assert same(result, expected)
            assert [hand.track_id for hand in result.hands] == [hand.track_id for hand in expected.hands]
            assert result.image is not None
            assert np.array_equal(result.image, image)


def test_the_same_picture_in_any_form_gives_the_same_hands(
    frames: list[Image], hands: HandPipeline, tmp_path: Path
) -> None:
    picture = frames[0]
    PILImage.fromarray(picture).save(tmp_path / "picture.png")
    forms: Sequence[Any] = [PILImage.fromarray(picture), str(tmp_path / "picture.png"), tmp_path / "picture.png"]
    (expected,) = hands.batch([picture])
    assert len(expected.hands) == 2
    for result in hands.batch(forms):
        assert same(result, expected)
    (turned,) = hands.batch([picture[:, :, ::-1]], bgr=True)
    assert same(turned, expected)


def test_stills_have_nothing_to_do_with_one_another(frames: list[Image], hands: HandPipeline) -> None:
    together = hands.batch([frames[0], frames[7], frames[0]])
    (alone,) = hands.batch([frames[7]])
    assert same(together[0], together[2])
    assert same(together[1], alone)
    ids = [hand.track_id for result in together for hand in result.hands]
    assert len(set(ids)) == len(ids)


def test_no_pictures_give_no_results(hands: HandPipeline) -> None:
    assert hands.batch([]) == []


@pytest.mark.parametrize(
    "camera", [Intrinsics(500.0, 510.0, 330.0, 220.0), [[500.0, 0, 330.0], [0, 510.0, 220.0], [0, 0, 1]]]
)
def test_a_given_camera_is_used(frames: list[Image], camera: Any) -> None:
    with HandPipeline(estimator="landmarks", intrinsics=camera) as pipeline:
        result = pipeline(frames[0])
        assert (result.frame.camera.fx, result.frame.camera.cy) == (500.0, 220.0)
        assert not result.frame.camera.estimated
        another = pipeline(frames[0], intrinsics=Intrinsics(300.0, 300.0, 320.0, 240.0))
        assert another.frame.camera.fx == 300.0


def test_a_file_brings_its_own_camera(frames: list[Image], hands: HandPipeline, tmp_path: Path) -> None:
    exif = PILImage.Exif()
    exif.get_ifd(0x8769)[0xA405] = 28  # FocalLengthIn35mmFilm
    PILImage.fromarray(frames[0]).save(tmp_path / "photo.jpg", exif=exif)
    (result,) = hands.batch([tmp_path / "photo.jpg"])
    (without,) = hands.batch([frames[0]])
    assert result.frame.camera.fx != without.frame.camera.fx


def test_another_video_begins_with_restart(frames: list[Image]) -> None:
    with HandPipeline(estimator="landmarks") as pipeline:
        pipeline(frames[0], pts=1.0)
        with pytest.raises(PacketError, match="restart"):
            pipeline(frames[0], pts=1.0)
        assert pipeline(frames[1], pts=1.5).frame.pts == 1.5  # the refused frame did no harm
        pipeline.restart()
        again = pipeline(frames[0], pts=0.0)
    with HandPipeline(estimator="landmarks") as fresh:
        assert same(again, fresh(frames[0], pts=0.0))


def test_without_times_the_clock_counts(frames: list[Image], hands: HandPipeline) -> None:
    hands.restart()
    assert hands(frames[0]).frame.pts < hands(frames[1]).frame.pts


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((10, 10, 3)), "float64"),
        (np.zeros((10, 10), np.uint8), r"\(10, 10\)"),
        (np.zeros((10, 10, 4), np.uint8), "alpha"),
        (np.zeros((0, 10, 3), np.uint8), r"\(0, 10, 3\)"),
        ([[1, 2, 3]], "list"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(hands: HandPipeline, picture: Any, words: str) -> None:
    with pytest.raises(PacketError, match=words):
        hands.batch([picture])


@pytest.mark.parametrize("name", ["absent.jpg", str(CLIP)])
def test_a_file_that_is_no_picture_is_refused_by_name(hands: HandPipeline, name: str) -> None:
    with pytest.raises(SourceError, match=Path(name).name):
        hands.batch([name])


def test_it_has_to_be_open(frames: list[Image]) -> None:
    closed = HandPipeline(estimator="landmarks")
    with pytest.raises(PipelineError, match="with"):
        closed(frames[0])
    with pytest.raises(PipelineError, match="with"):
        closed.batch(frames)


def test_a_block_within_a_block_leaves_it_open(frames: list[Image]) -> None:
    pipeline = HandPipeline(estimator="landmarks")
    with pipeline:
        with pipeline as same:
            assert same is pipeline
        assert len(pipeline(frames[0], pts=0.0).hands) == 2
    with pytest.raises(PipelineError, match="with"):
        pipeline(frames[0])


def test_it_opens_again_after_it_was_closed(frames: list[Image]) -> None:
    pipeline = HandPipeline(estimator="landmarks")
    for _ in range(2):
        pipeline.open()
        assert len(pipeline(frames[0], pts=0.0).hands) == 2
        pipeline.close()
        pipeline.close()


def test_settings_that_are_wrong_are_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="did you mean max_hands"):
        HandPipeline(max_hand=2)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="max_hands"):
        HandPipeline(max_hands=0)
    with pytest.raises(ConfigurationError, match="did you mean min_presence_score"):
        HandPipeline(detect={"min_presence": 0.2})
    with pytest.raises(ConfigurationError, match="intrinsics"):
        HandPipeline(intrinsics=np.eye(2))


def test_the_network_runs_too_and_is_loaded_once(
    tiny_release: Path, frames: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages.reconstruction import hamba

    loads: list[Any] = []
    real = hamba.open_model

    def counted(*arguments: Any, **options: Any) -> Any:
        loads.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(hamba, "open_model", counted)
    with HandPipeline(estimator="hamba", checkpoint=tiny_release) as pipeline:
        assert len(pipeline(frames[0], pts=0.0).hands) == 2
        assert [len(result.hands) for result in pipeline.batch(frames[:3])] == [2, 2, 2]
        pipeline.restart()
        pipeline(frames[0], pts=0.0)
        assert any(choice.chosen == "hamba" for choice in pipeline.choices())
    assert len(loads) == 1


@pytest.mark.parametrize("pictures", ["photo.jpg", Path("photo.jpg"), np.zeros((10, 10, 3), np.uint8), None, 3])
def test_one_picture_is_not_taken_for_several(hands: HandPipeline, pictures: Any) -> None:
    with pytest.raises(PacketError, match=r"\[picture\]"):
        hands.batch(pictures)


@pytest.mark.parametrize("pts", ["x", [1.0], float("nan"), float("inf")])
def test_what_is_no_time_is_refused(frames: list[Image], hands: HandPipeline, pts: Any) -> None:
    with pytest.raises(PacketError, match="pts: expected"):
        hands(frames[0], pts=pts)


def test_a_folder_is_no_picture(frames: list[Image], hands: HandPipeline, tmp_path: Path) -> None:
    PILImage.fromarray(frames[0]).save(tmp_path / "a.png")
    for name in (tmp_path, tmp_path / "*.png"):
        with pytest.raises(SourceError, match="one picture file"):
            hands.batch([name])


def test_a_result_keeps_its_picture_when_the_loop_reuses_its_own(frames: list[Image], hands: HandPipeline) -> None:
    buffer = frames[0].copy()
    (result,) = hands.batch([buffer])
    buffer[:] = 0
    assert result.image is not None
    np.testing.assert_array_equal(result.image, frames[0])


def test_short_names_go_on_top_of_a_stages_settings_in_any_order(frames: list[Image]) -> None:
    for options in ({"max_hands": 1, "detect": {"max_hands": 2}}, {"detect": {"max_hands": 2}, "max_hands": 1}):
        given: Any = options
        with HandPipeline(estimator="landmarks", **given) as pipeline:
            assert len(pipeline(frames[0]).hands) == 1


@pytest.mark.parametrize(
    "wrong", [{"detect": 5}, {"detect": None}, {"intrinsics": "cam"}, {"intrinsics": [[1, 2], [3]]}]
)
def test_arguments_of_other_kinds_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        HandPipeline(**wrong)


def test_an_estimator_without_its_method_is_refused_in_words(frames: list[Image]) -> None:
    class Nothing(Estimator):
        name = "nothing"

    with (
        HandPipeline(estimator=Nothing) as hands,
        pytest.raises(ConfigurationError, match=r"Nothing: .* `hands` or `begin`, found neither; docs/extending.md"),
    ):
        hands(frames[0])


def test_what_makes_no_estimator_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"stages\.reconstruction\.Estimator"):
        HandPipeline(estimator=int).open()  # type: ignore[arg-type]
