"""A setting that cannot have an effect is told, with the reason; one that has, or stands in a preset, is not."""

from pathlib import Path

import pytest

from hamba_core.view import Intrinsics
from pipeline import HandPipeline, assemble, load_settings
from pipeline.commands.cli import app
from pipeline.corpus import Video
from pipeline.corpus.unused import Unused
from pipeline.evaluation.chain import Chain
from pipeline.terminal import run_app
from pipeline.without_effect import corpus_settings_without_effect, settings_without_effect
from stages.packets import SourceInfo
from stages.sources import source_for

QUICK = "synthetic:?seconds=0.3&width=320&height=240&fps=10"


def told(
    overrides: list[str], kind: str = "file", *, estimator: str = "hamba-s", mode: str = "offline", files: bool = True
) -> dict[str, str]:
    """What is told of these overrides, for a source of this kind: reasons by key."""
    info = SourceInfo("it", kind, kind in ("camera", "network"), 320, 240, 30.0, None, Intrinsics.estimate(320, 240))
    settings = load_settings(mode, overrides)
    found = settings_without_effect(settings, estimator, info, stills=kind == "image", files=files)
    assert all(choice.fallback for choice in found)
    return {choice.subject: choice.reason for choice in found}


@pytest.mark.parametrize(
    ("override", "kind", "words"),
    [
        ("reconstruct.checkpoint=hamba.ckpt", "file", "the estimator is hamba-s"),
        ("reconstruct.device=cuda", "file", "the estimator is hamba-s"),
        ("detect.min_tracking_score=0.7", "file", "detect.detector is onnx"),
        ("smooth.strength=2", "image", "single pictures are not followed"),
        ("events.confirm=1", "image", "single pictures are not followed"),
        ("source.camera.rate=60", "file", "the source is a video file"),
        ("source.camera.rate=60", "network", "the source is a stream"),
        ("source.pictures.rate=10", "file", "the source is a video file"),
        ("source.track=1", "camera", "the source is a camera"),
        ("source.live.wait=true", "file", "the source is a video file"),
        ("source.world.tag_size=0.2", "file", "source.world.tag is not set"),
        ("source.world.square=0.02", "file", "source.world.charuco is not set"),
        ("source.world.watch=always", "file", "neither source.world.charuco nor source.world.tag"),
        ("source.world.start=3", "file", "source.world.trajectory is not set"),
        ("source.world.max_age=3", "file", "nothing tells where the camera stands"),
        ("publish.images=true", "file", "nothing is published"),
        ("runtime.in_flight=4", "file", "mode is offline"),
    ],
)
def test_what_does_nothing_is_told_with_the_reason(override: str, kind: str, words: str) -> None:
    reasons = told([override], kind)
    assert list(reasons) == [override.partition("=")[0]]
    assert words in reasons[override.partition("=")[0]]


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        (["smooth.strength=2", "events.confirm=1", "track.max_gap=0.1"], "file"),
        (["source.camera.rate=60", "source.live.wait=true"], "camera"),
        (["source.live.read_timeout=9", "source.track=1"], "network"),
        (["source.pictures.kind=sequence", "source.pictures.rate=10"], "images"),
        (["source.world.tag=3", "source.world.tag_size=0.2", "source.world.watch=always"], "file"),
        (["publish.address=tcp://127.0.0.1:5999", "publish.queue=4"], "file"),
        (["detect.detector=mediapipe", "detect.min_tracking_score=0.7"], "file"),
        (["source.lens.field_of_view=70", "detect.max_hands=4", "record.vertices=none", "overlay.opacity=1"], "file"),
        (["record.enabled=false", "overlay.enabled=false"], "file"),
    ],
)
def test_what_has_an_effect_is_not_told(overrides: list[str], kind: str) -> None:
    assert told(overrides, kind) == {}


@pytest.mark.parametrize("mode", ["live", "offline"])
@pytest.mark.parametrize("kind", ["file", "image", "images", "camera", "network", "synthetic"])
def test_presets_by_themselves_say_nothing(mode: str, kind: str) -> None:
    assert told([], kind, mode=mode, files=False) == {}


def test_what_belongs_to_an_estimator_is_told_with_another() -> None:
    overrides = ["reconstruct.small_network=mine.onnx", "reconstruct.precision=float32"]
    assert list(told(overrides, estimator="hamba")) == ["reconstruct.small_network"]
    assert list(told(overrides, estimator="hamba-s")) == ["reconstruct.precision"]
    assert set(told(overrides, estimator="landmarks")) == {"reconstruct.small_network", "reconstruct.precision"}


def test_what_belongs_to_files_is_told_where_none_are_written() -> None:
    assert list(told(["record.scene=none"], files=False)) == ["record.scene"]
    assert list(told(["record.enabled=false", "record.scene=none"])) == ["record.scene"]


def test_a_run_tells_it_in_its_report() -> None:
    settings = load_settings("offline", ["reconstruct.estimator=landmarks", "reconstruct.checkpoint=/nowhere/x.ckpt"])
    runner = assemble(source_for(QUICK), settings)
    report = runner.run()
    (choice,) = [choice for choice in report.choices if choice.chosen == "without effect"]
    assert (choice.subject, choice.reason) == ("reconstruct.checkpoint", "the estimator is landmarks")


def test_the_command_tells_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["run", QUICK, "--out", str(tmp_path), "--no-overlay", "--wait", "--estimator", "landmarks"]
    assert run_app(app, command) == 0
    assert "source.live.wait: without effect" in capfd.readouterr().err


def test_a_program_that_gives_its_own_pictures_is_told_of_hands_alone() -> None:
    with HandPipeline(estimator="landmarks", checkpoint="nowhere.ckpt", source={"live": {"wait": True}}) as hands:
        found = [choice.subject for choice in hands.choices() if choice.chosen == "without effect"]
    assert found == ["reconstruct.checkpoint"]


def test_an_evaluation_warns_of_it(caplog: pytest.LogCaptureFixture) -> None:
    Chain(load_settings("offline", ["reconstruct.estimator=landmarks", "reconstruct.checkpoint=nowhere.ckpt"]))
    assert "reconstruct.checkpoint is without effect: the estimator is landmarks" in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--address", "tcp://127.0.0.1:5999", "--no-publish"], "--address and --no-publish: expected one of them"),
        (["--preset", "live", "--overlay"], "--overlay: expected --out"),
    ],
)
def test_options_that_exclude_one_another_are_refused(
    options: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, ["run", QUICK, *options]) == 2
    assert words in capfd.readouterr().err


@pytest.mark.parametrize(
    ("override", "recordings", "words"),
    [
        ("publish.address=tcp://127.0.0.1:5999", True, "publishes nothing"),
        ("overlay.enabled=false", True, "draws nothing"),
        ("record.scene=none", True, "records no scenes"),
        ("record.vertices=float16", False, "--recordings"),
        ("record.vertices=float16", True, None),
        ("source.camera.rate=60", False, "a video file"),
        ("source.live.wait=true", False, "a video file"),
        ("reconstruct.device=cuda", False, "the estimator is hamba-s"),
        ("smooth.strength=2", False, None),
        ("source.lens.field_of_view=70", False, None),
    ],
)
def test_a_corpus_tells_it_before_it_begins(
    override: str, recordings: bool, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAMBA_CHECKPOINT", raising=False)
    found = corpus_settings_without_effect(load_settings("offline", [override]), recordings=recordings)
    if words is None:
        assert found == ()
        return
    [choice] = found
    assert choice.subject == override.partition("=")[0]
    assert words in choice.reason


def test_settings_of_single_videos_of_a_corpus_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    unused = Unused(load_settings("offline", ["source.live.wait=true"]), recordings=False)
    for number in range(3):
        unused.of(Video(f"{number}.mp4", settings=(("overlay.opacity", f"0.{number + 2}"), ("smooth.strength", "2"))))
    unused.of(Video("wrong.mp4", settings=(("overlay.nothing", "1"),)))
    assert [record.getMessage() for record in caplog.records] == [
        "0.mp4: overlay.opacity is without effect: a corpus draws nothing"
    ]


def test_a_batch_tells_it_of_sources_however_short(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sources = [f"synthetic:?seconds=0.2&width=320&height=240&fps=10&seed={seed}" for seed in (1, 2)]
    command = ["run", *sources, "--out", str(tmp_path), "--no-overlay", "--wait", "--estimator", "landmarks"]
    assert run_app(app, command) == 0
    assert capfd.readouterr().err.count("source.live.wait: without effect") == 1


def test_an_evaluation_warns_of_what_only_a_run_has(caplog: pytest.LogCaptureFixture) -> None:
    overrides = ["reconstruct.estimator=landmarks", "publish.address=tcp://127.0.0.1:5999", "source.track=1"]
    Chain(load_settings("offline", overrides))
    assert "publish.address is without effect: an evaluation only measures" in caplog.text
    assert "source.track is without effect: an evaluation has pictures of its own" in caplog.text
    caplog.clear()
    Chain(load_settings("offline", overrides), sources=True)
    assert "source.track" not in caplog.text
