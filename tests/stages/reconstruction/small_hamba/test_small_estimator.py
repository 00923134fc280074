"""hamba-s on the shipped clip: nearer to the truth than the landmark fit, the same in a mirror, and never unguarded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hamba_core.errors import ConfigurationError, WeightsError
from hamba_core.hand import Side, exp_so3, load_generic_hand
from hamba_core.metrics import pa_mpjpe
from hamba_core.network.small import FirstEstimate, HandViews, sample_maps
from hamba_core.view import Intrinsics
from hamba_core.weights import load_small, small_origin
from stages.assets import CLIP, CLIP_TRUTH, HAMBA_S, HAMBA_S_WEIGHTS
from stages.detection import HandDetection
from stages.packets import Choice, Detections, Frame, Hand
from stages.reconstruction import Reconstruction, ReconstructionSettings
from stages.reconstruction.landmarks import LandmarksEstimator, landmark_offsets
from stages.reconstruction.small_hamba import SmallHambaEstimator, SmallNetwork, ViewedHands
from stages.reconstruction.small_hamba.estimator import CONTRADICTION, NOT_SEEN
from stages.sources import source_for
from stages.synthetic import load_truth
from stages.tracking import HandTracking

MODEL = load_generic_hand()
FRAMES = range(0, 45, 3)


@dataclass
class Clip:
    detections: list[Detections]
    truth: list[dict[Side, np.ndarray]]  # joints (21, 3) m by side


def detected(frames: Sequence[Frame]) -> list[Detections]:
    detection, tracking = HandDetection(maps=True), HandTracking()
    detection.open()
    tracking.open()
    packets = [tracking.process(detection.process(frame)) for frame in frames]
    detection.close()
    tracking.close()
    return packets


@pytest.fixture(scope="module")
def clip() -> Clip:
    truth, source = load_truth(CLIP_TRUTH), source_for(str(CLIP))
    source.open()
    frames = [frame for frame, _ in zip(source.frames(), range(FRAMES.stop), strict=False) if frame is not None]
    source.close()
    kept = [frames[i] for i in FRAMES]
    by_side = [dict(zip(truth.sides, truth.joints[i], strict=True)) for i in FRAMES]
    return Clip(detected(kept), by_side)


def opened(network: Path | None = None) -> SmallHambaEstimator:
    estimator = SmallHambaEstimator(MODEL, network)
    estimator.open()
    return estimator


def errors(hands: Sequence[tuple[Hand, ...]], clip: Clip) -> np.ndarray:
    """PA-MPJPE, mm, of every hand."""
    found = [
        float(pa_mpjpe(hand.joints, truth[hand.side]))
        for of_frame, truth in zip(hands, clip.truth, strict=True)
        for hand in of_frame
    ]
    return 1000 * np.array(found)


def chosen(choices: tuple[Choice, ...], subject: str) -> dict[str, int]:
    return {choice.reason: int(choice.chosen) for choice in choices if choice.subject == subject}


def test_it_is_nearer_to_the_truth_than_the_landmark_fit(clip: Clip) -> None:
    estimator = opened()
    ours = errors(estimator.reconstruct(clip.detections), clip)
    fits = errors(LandmarksEstimator(MODEL, landmark_offsets(MODEL)).reconstruct(clip.detections), clip)
    assert len(ours) == len(fits) >= 1.8 * len(FRAMES)
    assert ours.mean() < 0.9 * fits.mean()
    assert estimator.hands_given >= 0.95 * len(ours)


def test_frames_one_by_one_give_what_they_give_together(clip: Clip) -> None:
    together = opened().reconstruct(clip.detections[:6])
    single = opened()
    for expected, packet in zip(together, clip.detections[:6], strict=True):
        for hand, same in zip(expected, single.begin([packet])()[0], strict=True):
            np.testing.assert_allclose(same.joints, hand.joints, atol=1e-4)


def test_parameters_and_joints_are_one_hand(clip: Clip) -> None:
    for hand in opened().reconstruct(clip.detections[:1])[0]:
        orient, pose, betas, translation = (
            value.astype(np.float64) for value in (hand.global_orient, hand.hand_pose, hand.betas, hand.translation)
        )
        posed = MODEL.joints(orient, pose, betas, translation, hand.side)
        np.testing.assert_allclose(hand.joints, posed, atol=1e-5)
        camera = clip.detections[0].frame.meta.camera
        np.testing.assert_allclose(hand.joints_2d, camera.project(posed), atol=0.05)


def test_a_mirrored_picture_gives_the_mirrored_hand(clip: Clip) -> None:
    frames = [packet.frame for packet in clip.detections[:4]]
    turned = []
    for frame in frames:
        camera = frame.meta.camera
        other = Intrinsics(camera.fx, camera.fy, frame.meta.width - camera.cx, camera.cy)
        turned.append(Frame(replace(frame.meta, camera=other), np.ascontiguousarray(frame.image[:, ::-1])))
    sides: dict[Side, Side] = {"left": "right", "right": "left"}
    for hands, mirrored in zip(
        opened().reconstruct(detected(frames)), opened().reconstruct(detected(turned)), strict=True
    ):
        others = {hand.side: hand for hand in mirrored}
        for hand in hands:
            found = others[sides[hand.side]].joints * (-1, 1, 1)
            assert np.linalg.norm(found - hand.joints, axis=1).mean() < 0.012


def test_without_the_detectors_maps_it_looks_by_itself(clip: Clip) -> None:
    bare = [
        replace(packet, boxes=tuple(replace(box, look=None) for box in packet.boxes)) for packet in clip.detections[:5]
    ]
    part = Clip(clip.detections[:5], clip.truth[:5])
    with_maps, without = errors(opened().reconstruct(part.detections), part), errors(opened().reconstruct(bare), part)
    assert len(with_maps) == len(without)
    assert without.mean() < with_maps.mean() + 1.0


def test_a_hand_that_was_not_seen_is_the_landmark_fits_and_is_counted(clip: Clip) -> None:
    guessed = [
        replace(packet, boxes=tuple(replace(box, seen=False, look=None) for box in packet.boxes))
        for packet in clip.detections[:2]
    ]
    estimator = opened()
    found = estimator.reconstruct(guessed)
    expected = LandmarksEstimator(MODEL, landmark_offsets(MODEL)).reconstruct(guessed)
    for hands, fits in zip(found, expected, strict=True):
        for hand, fit in zip(hands, fits, strict=True):
            np.testing.assert_array_equal(hand.joints, fit.joints)
    assert chosen(estimator.choices(), "hands by landmarks") == {NOT_SEEN: sum(map(len, expected))}
    assert estimator.hands_given == 0


def test_where_network_and_landmarks_contradict_each_other_the_landmark_fit_is_given(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = opened()
    right = SmallNetwork.correct

    def upside_down(network: SmallNetwork, *given: object) -> ViewedHands:
        answer = right(network, *given)  # type: ignore[arg-type]
        turn = np.diag([-1.0, -1.0, 1.0])
        rotations = answer.rotations.copy()
        rotations[:, 0] = turn @ rotations[:, 0]
        return answer._replace(rotations=rotations)

    monkeypatch.setattr(SmallNetwork, "correct", upside_down)
    found = estimator.reconstruct(clip.detections[:2])
    expected = LandmarksEstimator(MODEL, landmark_offsets(MODEL)).reconstruct(clip.detections[:2])
    for hands, fits in zip(found, expected, strict=True):
        for hand, fit in zip(hands, fits, strict=True):
            np.testing.assert_array_equal(hand.joints, fit.joints)
    assert chosen(estimator.choices(), "hands by landmarks") == {CONTRADICTION: sum(map(len, expected))}


@pytest.mark.parametrize(("presence", "degrees", "given"), [(0.95, 50.0, 0), (0.7, 50.0, 1), (0.7, 180.0, 0)])
def test_where_the_look_is_unsure_of_a_hand_its_landmarks_count_less(
    clip: Clip, monkeypatch: pytest.MonkeyPatch, presence: float, degrees: float, given: int
) -> None:
    estimator = opened()
    right = SmallNetwork.correct

    def turned(network: SmallNetwork, *given: object) -> ViewedHands:
        answer = right(network, *given)  # type: ignore[arg-type]
        rotations = answer.rotations.copy()
        rotations[:, 0] = exp_so3(np.array([0, 0, np.radians(degrees)])) @ rotations[:, 0]
        return answer._replace(rotations=rotations)

    monkeypatch.setattr(SmallNetwork, "correct", turned)
    packet = clip.detections[0]
    boxes = tuple(
        replace(box, look=replace(box.look, presence=presence)) for box in packet.boxes[:1] if box.look is not None
    )
    estimator.reconstruct([replace(packet, boxes=boxes)])
    assert estimator.hands_given == given
    assert chosen(estimator.choices(), "hands by landmarks") == ({} if given else {CONTRADICTION: 1})


def test_the_file_names_no_path_of_the_machine_that_made_it() -> None:
    assert not [word for word in (b'File "', b"site-packages", b"/tmp/") if word in HAMBA_S.read_bytes()]


def test_what_onnx_runtime_runs_is_the_network_in_torch(clip: Clip) -> None:
    looks = [box.look for packet in clip.detections[:3] for box in packet.boxes]
    assert len(looks) >= 5
    landmarks = np.stack([look.landmarks for look in looks if look is not None])
    world = np.stack([look.world for look in looks if look is not None])
    maps = [np.stack(level) for level in zip(*(look.maps for look in looks if look is not None), strict=True)]
    count = len(landmarks)
    rays = (landmarks[..., :2].astype(np.float64) - 112) / 400
    first = ViewedHands(
        np.tile(np.eye(3), (count, 16, 1, 1)), np.zeros((count, 10)), np.tile((0.0, 0.0, 0.5), (count, 1))
    )
    found = SmallNetwork().correct(maps, landmarks, world, rays, np.full(count, 3.5), first)
    fine, middle, coarse, pooled = (torch.from_numpy(level) for level in maps)
    tokens = sample_maps([fine, middle, coarse], torch.from_numpy(landmarks[..., :2] / 112 - 1))
    seen = np.concatenate([rays * 3.5, landmarks[..., 2:] / 112], -1)
    views = HandViews(
        tokens, pooled, coarse, torch.from_numpy(seen).float(), torch.from_numpy(world), torch.full((count,), 3.5),
        FirstEstimate(*(torch.from_numpy(value).float() for value in first)),
    )  # fmt: skip
    with torch.inference_mode():
        expected = load_small(HAMBA_S_WEIGHTS, MODEL).corrected(views)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-5)


def test_the_shipped_files_are_small_and_say_what_they_come_from() -> None:
    assert HAMBA_S.stat().st_size + HAMBA_S_WEIGHTS.stat().st_size < 12e6
    origin = small_origin(HAMBA_S_WEIGHTS)
    assert {"settings", "seed", "data", "hands", "pa_mpjpe"} <= set(origin)


def test_settings_choose_it_and_it_asks_for_maps() -> None:
    stage = Reconstruction(ReconstructionSettings(estimator="hamba-s"), MODEL)
    assert stage.estimator == "hamba-s"
    assert stage.wants_maps
    assert not Reconstruction(ReconstructionSettings(estimator="landmarks"), MODEL).wants_maps


def test_another_hand_model_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected the hand model generic"):
        Reconstruction(ReconstructionSettings(estimator="hamba-s"), replace(MODEL, name="mano"))


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "hamba_s.onnx"
    with pytest.raises(WeightsError, match="found"):
        opened(wrong)
    wrong.write_bytes(b"no network")
    with pytest.raises(WeightsError, match="hamba train"):
        opened(wrong)
    with pytest.raises(WeightsError, match="expected weights of a hamba-s"):
        load_small(wrong, MODEL)
