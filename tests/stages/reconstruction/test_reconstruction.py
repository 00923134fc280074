"""The reconstruct stage: which estimator it takes, and what it makes of its hands."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from hamba_core.errors import ConfigurationError, HambaError
from hamba_core.hand import load_generic_hand
from hamba_core.view import Intrinsics
from stages.packets import Detections, Frame, FrameMeta, HandBox
from stages.reconstruction.reconstruction import (
    CHECKPOINT_VARIABLE,
    Reconstruction,
    ReconstructionSettings,
    load_hand_model,
)


@pytest.fixture(autouse=True)
def no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHECKPOINT_VARIABLE, raising=False)


def _detections(index: int, tracks: Sequence[int]) -> Detections:
    """A frame with the open generic hand, once for each track."""
    model, camera = load_generic_hand(), Intrinsics.estimate(640, 480)
    upright = np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])
    joints = model.pose(upright, np.tile(np.eye(3), (15, 1, 1)), np.zeros(10), np.array([0, 0, 0.6])).joints
    world = (joints - joints.mean(0)).astype(np.float32)
    pixels = camera.project(joints).astype(np.float32)
    box = np.concatenate([pixels.min(0), pixels.max(0)])
    boxes = tuple(HandBox("right", 0.9, box, pixels, world, track) for track in tracks)
    meta = FrameMeta("hands", index, index / 30, index + 1, 640, 480, camera)
    return Detections(Frame(meta, np.full((480, 640, 3), index, np.uint8)), boxes)


def test_results_keep_their_frames_and_their_order() -> None:
    stage = Reconstruction(ReconstructionSettings(estimator="landmarks"), load_generic_hand())
    stage.open()
    packets = [_detections(0, [1, 2]), _detections(1, []), _detections(2, [2])]
    results = stage.process_many(packets)
    assert [[hand.track_id for hand in result.hands] for result in results] == [[1, 2], [], [2]]
    for packet, result in zip(packets, results, strict=True):
        assert result.frame is packet.frame.meta
        assert result.image is packet.frame.image
    stage.close()


def test_one_frame_is_as_many_of_one() -> None:
    one, many = (Reconstruction(ReconstructionSettings(estimator="landmarks"), load_generic_hand()) for _ in range(2))
    packet = _detections(0, [1])
    single, (several,) = one.process(packet), many.process_many([packet])
    np.testing.assert_array_equal(single.hands[0].vertices, several.hands[0].vertices)


def test_meshes_can_be_left_to_the_stage_behind() -> None:
    settings, packet = ReconstructionSettings(estimator="landmarks"), _detections(0, [1])
    whole, bare = (
        Reconstruction(settings, load_generic_hand(), meshes=meshes).process(packet).hands[0]
        for meshes in (True, False)
    )
    assert (len(whole.vertices), len(bare.vertices)) == (len(load_generic_hand().v_template), 0)
    np.testing.assert_array_equal(whole.joints, bare.joints)
    # The index finger's tip is a vertex of the mesh.
    assert np.linalg.norm(whole.vertices - whole.joints[8], axis=1).min() < 1e-5


def test_auto_without_a_checkpoint_is_the_small_hamba_that_ships() -> None:
    choice = Reconstruction(ReconstructionSettings(), load_generic_hand()).choices()[0]
    assert (choice.subject, choice.chosen, choice.fallback) == ("estimator", "hamba-s", False)


def test_auto_with_another_hand_says_that_it_uses_landmarks_and_how_to_get_hamba() -> None:
    mano = replace(load_generic_hand(), name="mano")
    choice = Reconstruction(ReconstructionSettings(), mano).choices()[0]
    assert (choice.subject, choice.chosen, choice.fallback) == ("estimator", "landmarks", True)
    assert "--checkpoint" in choice.reason
    assert CHECKPOINT_VARIABLE in choice.reason


def test_landmarks_by_choice_is_no_fallback() -> None:
    choice = Reconstruction(ReconstructionSettings(estimator="landmarks"), load_generic_hand()).choices()[0]
    assert (choice.chosen, choice.reason, choice.fallback) == ("landmarks", "configured", False)


def test_landmarks_by_choice_passes_a_configured_checkpoint_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "/nowhere/hamba.ckpt")
    settings = ReconstructionSettings(estimator="landmarks")
    assert Reconstruction(settings, load_hand_model(settings)).choices()[0].chosen == "landmarks"


def test_hamba_without_a_checkpoint_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match=f"{CHECKPOINT_VARIABLE}.*found none.*landmarks"):
        Reconstruction(ReconstructionSettings(estimator="hamba"), load_generic_hand())


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValidationError, match="estimator"):
        ReconstructionSettings(estimator="openpose")


def test_a_missing_mano_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "MANO_RIGHT.pkl"
    with pytest.raises(HambaError, match=r"MANO_RIGHT\.pkl"):
        load_hand_model(ReconstructionSettings(estimator="landmarks", hand_model=str(missing)))


@pytest.mark.parametrize(
    ("estimator", "without"),
    [
        ("landmarks", ["torch", "mediapipe", "open3d", "av", "cv2", "scipy"]),
        ("hamba-s", ["torch", "mediapipe", "open3d", "av", "scipy"]),
    ],
)
def test_hands_without_the_released_network_need_neither_torch_nor_viewer(estimator: str, without: list[str]) -> None:
    program = f"""
import sys
for name in {without}:
    sys.modules[name] = None
from stages.reconstruction import Reconstruction, ReconstructionSettings, load_hand_model
settings = ReconstructionSettings(estimator="{estimator}")
stage = Reconstruction(settings, load_hand_model(settings))
stage.open()
assert dict((choice.subject, choice.chosen) for choice in stage.choices())["hand model"] == "generic"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
