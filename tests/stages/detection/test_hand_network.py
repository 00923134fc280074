"""MediaPipe's two networks say in ONNX Runtime what they say in MediaPipe's own; a damaged file is named."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import stages.detection.hand_network
from hamba_core.errors import DependencyError, PacketError, WeightsError
from stages.assets import CLIP, CLIP_TRUTH, HAND_LANDMARKER, LANDMARK_NETWORK, PALM_NETWORK, PALM_NETWORK_SHA256
from stages.assets.make.hand_networks import make_networks
from stages.detection.hand_crop import crop_around
from stages.detection.hand_network import CROP_SIDE, HandNetwork
from stages.detection.onnx_session import open_session
from stages.packets import Image
from stages.sources import source_for
from stages.synthetic import load_truth

# The tensors of hand_landmarks_detector.tflite that the maps are, by TensorFlow Lite's numbers.
MAPS = {"fine": 120, "middle": 142, "coarse": 157, "pooled": 160}


@pytest.fixture(scope="module")
def crops() -> Image:
    """Both hands of some frames of the clip, one at a time, and noise."""
    truth, source = load_truth(CLIP_TRUTH), source_for(str(CLIP))
    source.open()
    found = [np.random.default_rng(0).integers(0, 256, (CROP_SIDE, CROP_SIDE, 3), np.uint8)]
    for frame in source.frames():
        if frame is not None and frame.meta.index % 60 == 30:
            found += [crop_around(joints).cut(frame.image) for joints in truth.joints_2d[frame.meta.index]]
    source.close()
    return np.stack(found)


@pytest.fixture(scope="module")
def network() -> HandNetwork:
    return HandNetwork()


def reference(name: str, crops: Image, tensors: list[int]) -> list[np.ndarray[Any, Any]]:
    """The network's outputs, in their order, and these tensors, by TensorFlow Lite's own plain kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with zipfile.ZipFile(HAND_LANDMARKER) as archive:
        interpreter = Interpreter(
            model_content=archive.read(name),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
    interpreter.allocate_tensors()
    wanted = [each["index"] for each in interpreter.get_output_details()] + tensors
    answers = []
    for crop in crops:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], crop[None].astype(np.float32) / 255)
        interpreter.invoke()
        answers.append([interpreter.get_tensor(index).copy() for index in wanted])
    return [np.concatenate(of_all) for of_all in zip(*answers, strict=True)]


def test_the_landmark_network_says_what_it_says_in_its_own_runtime(network: HandNetwork, crops: Image) -> None:
    look = network.look(crops, maps=True)
    expected = reference("hand_landmarks_detector.tflite", crops, list(MAPS.values()))
    landmarks, presence, right, world, *maps = expected
    np.testing.assert_allclose(look.landmarks, landmarks.reshape(-1, 21, 3), atol=2e-3)  # px
    np.testing.assert_allclose(look.world, world.reshape(-1, 21, 3), atol=1e-6)  # m
    np.testing.assert_allclose(look.presence, presence[:, 0], atol=1e-5)
    np.testing.assert_allclose(look.right, right[:, 0], atol=1e-5)
    assert look.maps is not None
    for name, values in zip(MAPS, maps, strict=True):
        ours = getattr(look.maps, name)
        theirs = values.transpose(0, 3, 1, 2) if values.ndim == 4 else values
        np.testing.assert_allclose(ours, theirs, atol=1e-3, err_msg=name)
        assert np.std(theirs) > 0.1, "or nothing is compared"


def test_the_palm_network_says_what_it_says_in_its_own_runtime(crops: Image) -> None:
    pictures = np.stack([cv2.resize(crop, (192, 192)) for crop in crops])
    boxes, scores = open_session(PALM_NETWORK, PALM_NETWORK_SHA256).run(["boxes", "scores"], {"crops": pictures})
    expected_boxes, expected_scores = reference("hand_detector.tflite", pictures, [])
    np.testing.assert_allclose(boxes, expected_boxes, atol=5e-3)  # px of 192
    np.testing.assert_allclose(scores, expected_scores[..., 0], atol=2e-3)


def test_it_knows_hands_from_noise_and_left_from_right(network: HandNetwork, crops: Image) -> None:
    look = network.look(crops)
    sides = load_truth(CLIP_TRUTH).sides
    assert look.presence[0] < 0.5
    seen = look.presence[1:] > 0.5
    assert seen.sum() >= 6
    rights = np.array([side == "right" for side in sides] * (len(seen) // 2))
    np.testing.assert_array_equal(look.right[1:][seen] > 0.5, rights[seen])


def test_crops_together_are_looked_at_as_each_alone(network: HandNetwork, crops: Image) -> None:
    together = network.look(crops, maps=True)
    alone = network.look(crops[2:3], maps=True)
    np.testing.assert_allclose(together.landmarks[2], alone.landmarks[0], atol=1e-3)
    assert together.maps is not None
    assert alone.maps is not None
    for mine, own in zip(together.maps, alone.maps, strict=True):
        np.testing.assert_allclose(mine[2], own[0], atol=1e-3)
    assert network.look(crops[:0]).landmarks.shape == (0, 21, 3)


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((1, 224, 224, 3), np.float32),
        np.zeros((224, 224, 3), np.uint8),
        np.zeros((1, 192, 192, 3), np.uint8),
    ],
)
def test_crops_of_another_shape_or_type_are_refused(network: HandNetwork, crops: Any) -> None:
    with pytest.raises(PacketError, match=r"crops: expected uint8 \(N, 224, 224, 3\), found"):
        network.look(crops)


def test_the_shipped_networks_are_what_their_script_makes() -> None:
    made = make_networks()
    assert set(made) == {LANDMARK_NETWORK, PALM_NETWORK}
    for path, content in made.items():
        assert path.read_bytes() == content, path.name


@pytest.mark.parametrize("how", ["missing", "truncated", "flipped bit", "text"])
def test_a_missing_or_damaged_network_is_named(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hand_landmarks.onnx"
    if how == "truncated":
        path.write_bytes(LANDMARK_NETWORK.read_bytes()[:1_000_000])
    elif how == "flipped bit":
        content = bytearray(LANDMARK_NETWORK.read_bytes())
        content[1_000_000] ^= 1
        path.write_bytes(content)
    elif how == "text":
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    monkeypatch.setattr(stages.detection.hand_network, "LANDMARK_NETWORK", path)
    with pytest.raises(WeightsError, match=str(path)):
        HandNetwork()


def test_onnx_runtime_missing_is_said_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DependencyError, match="python -m pip install onnxruntime"):
        HandNetwork()


def test_onnx_runtime_keeps_no_identifier_and_sends_nothing(tmp_path: Path) -> None:
    """What it would send it first writes into the user's cache."""
    script = (
        "import os, numpy; from stages.detection import HandNetwork\n"
        "HandNetwork().look(numpy.zeros((1, 224, 224, 3), numpy.uint8))\n"
        "print(sum('onnxruntime.db' in os.path.realpath(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "0"
    assert list(tmp_path.rglob("*")) == []
