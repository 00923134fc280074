"""The network in the reconstruct stage: tracked boxes in, real hands in the picture's camera out."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from hamba_core.errors import ConfigurationError, PipelineError, WeightsError
from hamba_core.hand import MIRROR, Side, load_generic_hand, read_mano
from hamba_core.view import Intrinsics
from stages.common.proximity import tight_box
from stages.packets import Detections, Frame, FrameMeta, Hand, HandBox, Image
from stages.reconstruction.hamba.estimator import FORGET_AFTER, HambaEstimator
from stages.reconstruction.hamba.settings import NetworkSettings
from stages.reconstruction.reconstruction import (
    CHECKPOINT_VARIABLE,
    Reconstruction,
    ReconstructionSettings,
    load_hand_model,
)

WIDTH, HEIGHT = 320, 240
FLOAT32 = NetworkSettings(precision="float32")
NO_JOINTS_2D, NO_JOINTS = np.zeros((21, 2), np.float32), np.zeros((21, 3), np.float32)


def picture(seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT // 16 + 1, WIDTH // 16 + 1, 3)).astype(np.float64)
    return np.stack([ndimage.zoom(noise[..., c], 16, order=1) for c in range(3)], -1)[:HEIGHT, :WIDTH].astype(np.uint8)


def box(
    left: float = 100,
    top: float = 60,
    size: float = 80,
    side: Side = "right",
    track_id: int | None = 1,
    seen: bool = True,
) -> HandBox:
    corners = np.array([left, top, left + 0.8 * size, top + size], np.float32)
    return HandBox(side, 0.9, corners, NO_JOINTS_2D, NO_JOINTS, track_id, seen)


def packet(*boxes: HandBox, image: Image | None = None, index: int = 0, camera: Intrinsics | None = None) -> Detections:
    meta = FrameMeta("hands", index, index / 30, index + 1, WIDTH, HEIGHT, camera or Intrinsics.estimate(WIDTH, HEIGHT))
    return Detections(Frame(meta, picture() if image is None else image), boxes)


@pytest.fixture(scope="module")
def estimator(tiny_release: Path) -> Iterator[HambaEstimator]:
    """In float32, so that two ways to the same hand agree closely."""
    made = HambaEstimator(tiny_release, settings=FLOAT32)
    made.open()
    yield made
    made.close()


@pytest.fixture
def fresh(tiny_release: Path) -> Iterator[HambaEstimator]:
    """One that remembers nothing."""
    made = HambaEstimator(tiny_release, settings=FLOAT32)
    made.open()
    yield made
    made.close()


def only_hand(estimator: HambaEstimator, detections: Detections) -> Hand:
    ((hand,),) = estimator.reconstruct([detections])
    return hand


def assert_close(first: NDArray[np.floating], second: NDArray[np.floating], tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_hands_vertices_and_joints_are_its_parameters_posed_in_the_camera(
    tiny_release: Path, estimator: HambaEstimator, side: Side
) -> None:
    detections = packet(box(side=side))
    hand = only_hand(estimator, detections)
    model = read_mano(tiny_release / "data" / "mano")
    parameters = [x.astype(np.float64) for x in (hand.global_orient, hand.hand_pose, hand.betas, hand.translation)]
    posed = model.pose(parameters[0], parameters[1], parameters[2], parameters[3], side)
    assert_close(hand.vertices, posed.vertices)
    assert_close(hand.joints, posed.joints)
    assert_close(hand.joints_2d, detections.frame.meta.camera.project(posed.joints), 1e-2)
    assert (hand.side, hand.track_id) == (side, 1)
    assert hand.score == pytest.approx(0.9)
    assert hand.vertices[:, 2].min() > 0


@pytest.mark.parametrize("seed", range(4))
def test_in_a_mirrored_picture_the_mirrored_hand_is_found(estimator: HambaEstimator, seed: int) -> None:
    random = np.random.default_rng(seed)
    left, top, size = random.uniform((-20, -20, 30), (250, 180, 200))
    camera = Intrinsics(300, 310, 150, 130)
    turned_camera = Intrinsics(300, 310, WIDTH - 150, 130)
    image = picture(seed)
    plain = only_hand(estimator, packet(box(left, top, size), image=image, camera=camera))
    turned_box = box(WIDTH - left - 0.8 * size, top, size, "left")
    turned = only_hand(estimator, packet(turned_box, image=image[:, ::-1].copy(), camera=turned_camera))
    assert_close(turned.vertices, plain.vertices @ MIRROR)
    assert_close(turned.joints, plain.joints @ MIRROR)
    assert_close(turned.translation, plain.translation @ MIRROR)
    assert_close(turned.joints_2d, np.array([WIDTH, 0]) + plain.joints_2d * [-1, 1], 1e-2)
    # By convention the parameters are the mirrored right hand's, so they are the same.
    assert_close(turned.global_orient, plain.global_orient)
    assert_close(turned.hand_pose, plain.hand_pose)
    assert_close(turned.betas, plain.betas)


def test_many_hands_of_many_frames_at_once_are_the_same_as_one_by_one(estimator: HambaEstimator) -> None:
    frames = [
        packet(
            *(box(20 + 9 * i, 10 + 5 * i, 50 + 10 * i, "left" if i % 2 else "right", i + 1) for i in range(n)),
            image=picture(index),
            index=index,
        )
        for index, n in enumerate((3, 0, 7, 1))
    ]
    together = estimator.reconstruct(frames)
    assert [len(hands) for hands in together] == [3, 0, 7, 1]
    for frame, hands in zip(frames, together, strict=True):
        for alone, hand in zip(estimator.reconstruct([frame])[0], hands, strict=True):
            assert hand.track_id == alone.track_id
            assert_close(hand.vertices, alone.vertices)


def test_the_same_pixels_at_twice_the_focal_length_are_twice_as_far(estimator: HambaEstimator) -> None:
    near, far = (only_hand(estimator, packet(box(), camera=Intrinsics(f, f, 160, 120))) for f in (300.0, 600.0))
    assert far.translation[2] == pytest.approx(2 * near.translation[2], rel=1e-5)
    assert_close(far.hand_pose, near.hand_pose)


def test_a_box_without_an_id_is_passed_over(estimator: HambaEstimator) -> None:
    hands = estimator.reconstruct([packet(box(track_id=None), box(track_id=5))])[0]
    assert [hand.track_id for hand in hands] == [5]


def test_where_the_detector_did_not_see_the_hand_its_own_joints_say_where_it_is(fresh: HambaEstimator) -> None:
    first = only_hand(fresh, packet(box()))
    guessed = only_hand(fresh, packet(box(0, 0, 30, seen=False), index=1))
    around = HandBox("right", 0.9, tight_box(first.joints_2d).astype(np.float32), NO_JOINTS_2D, NO_JOINTS, 1)
    expected = only_hand(fresh, packet(around, index=2))
    assert_close(guessed.vertices, expected.vertices)
    assert_close(guessed.box, expected.box)


def test_a_guess_may_follow_in_the_same_batch_and_a_stranger_keeps_its_box(
    fresh: HambaEstimator,
) -> None:
    frames = [packet(box()), packet(box(0, 0, 30, seen=False), box(30, 30, 60, track_id=2, seen=False), index=1)]
    ((first,), (guessed, stranger)) = fresh.reconstruct(frames)
    np.testing.assert_array_equal(guessed.box, tight_box(first.joints_2d))
    np.testing.assert_array_equal(stranger.box, frames[1].boxes[1].box)


def test_a_place_is_forgotten_in_time(fresh: HambaEstimator) -> None:
    fresh.reconstruct([packet(box())])
    for index in range(FORGET_AFTER + 1):
        fresh.reconstruct([packet(index=index + 1)])
    late = box(0, 0, 30, seen=False)
    np.testing.assert_array_equal(only_hand(fresh, packet(late, index=99)).box, late.box)


def test_boxes_outside_the_picture_and_in_a_point_give_hands(estimator: HambaEstimator) -> None:
    hands = estimator.reconstruct(
        [packet(box(-900, -900, 50), box(10, 10, 0, track_id=2), box(300, 200, 400, track_id=3))]
    )
    assert [hand.track_id for hand in hands[0]] == [1, 2, 3]


def test_a_box_far_larger_than_the_picture_is_left_out_and_told_once(
    fresh: HambaEstimator, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for index in range(2):
            hands = fresh.reconstruct([packet(box(-1e6, -1e6, 2e6), box(track_id=2), index=index)])
            assert [hand.track_id for hand in hands[0]] == [2]
    assert fresh.left_out.total() == 2
    assert len(caplog.records) == 1
    assert "track 1" in caplog.text


def test_a_hand_that_the_network_puts_behind_the_camera_is_left_out(
    make_release: Callable[..., Path], tmp_path: Path
) -> None:
    def behind(tensors: dict[str, object]) -> None:
        tensors["mano_head.init_cam"] = -3 * tensors["mano_head.init_cam"]  # type: ignore[operator]

    estimator = HambaEstimator(make_release(tmp_path / "release", behind), settings=FLOAT32)
    estimator.open()
    assert list(estimator.reconstruct([packet(box())])) == [()]
    assert estimator.left_out.total() == 1
    estimator.close()


def test_it_says_what_it_uses_and_why(tiny_release: Path) -> None:
    estimator = HambaEstimator(tiny_release, tiny_release / "data" / "mano")
    assert estimator.choices() == ()
    estimator.open()
    choices = {choice.subject: choice for choice in estimator.choices()}
    estimator.close()
    assert set(choices) == {"weights", "device", "precision", "scan kernel", "matrix kernels", "batches"}
    assert choices["device"].chosen.startswith(("cpu", "cuda"))
    assert choices["precision"].chosen in ("float32", "bfloat16")
    assert choices["scan kernel"].chosen in ("blocked", "triton")
    assert str(tiny_release / "model_config.yaml") in choices["weights"].reason
    assert all(choice.reason for choice in choices.values())


def test_settings_are_obeyed(tiny_release: Path) -> None:
    wanted = NetworkSettings(device="cpu", precision="bfloat16", scan="reference", rescale=1.5)
    estimator = HambaEstimator(tiny_release, settings=wanted)
    estimator.open()
    chosen = {choice.subject: (choice.chosen, choice.reason) for choice in estimator.choices()}
    estimator.close()
    assert chosen["precision"] == ("bfloat16", "reconstruct.precision")
    assert chosen["scan kernel"] == ("reference", "configured")


def test_the_rescale_is_the_crops_size_relative_to_the_box(tiny_release: Path, estimator: HambaEstimator) -> None:
    wide = HambaEstimator(tiny_release, settings=FLOAT32.model_copy(update={"rescale": 4.0}))
    wide.open()
    plain = only_hand(estimator, packet(box(size=40)))
    same_crop = only_hand(wide, packet(box(100 + 8, 60 + 10, 20)))
    assert_close(plain.vertices, same_crop.vertices)
    wide.close()


def test_it_has_to_be_opened_first(tiny_release: Path) -> None:
    with pytest.raises(PipelineError, match="open"):
        HambaEstimator(tiny_release).reconstruct([packet(box())])


def test_wrong_weights_are_an_error_at_open(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="absent"):
        HambaEstimator(tmp_path / "absent.ckpt").open()


def test_the_stage_takes_the_network_where_weights_are_configured(
    tiny_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECKPOINT_VARIABLE, str(tiny_release))
    settings = ReconstructionSettings()
    stage = Reconstruction(settings, load_hand_model(settings))
    stage.open()
    result = stage.process(packet(box(), box(200, 100, 60, "left", 2)))
    choices = {choice.subject: choice.chosen for choice in stage.choices()}
    stage.close()
    assert [hand.side for hand in result.hands] == ["right", "left"]
    assert (choices["estimator"], choices["hand model"]) == ("hamba", "mano")
    assert {"device", "precision", "scan kernel"} <= set(choices)


def test_the_network_without_weights_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHECKPOINT_VARIABLE, raising=False)
    settings = ReconstructionSettings(estimator="hamba")
    with pytest.raises(ConfigurationError, match=CHECKPOINT_VARIABLE):
        load_hand_model(settings)
    with pytest.raises(ConfigurationError, match=CHECKPOINT_VARIABLE):
        Reconstruction(settings, load_generic_hand())
