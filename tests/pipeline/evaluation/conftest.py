"""Tiny folders in the layouts of published data sets, made from the synthetic source."""

import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from hamba_core.hand import JOINTS_FROM_MODEL
from stages.packets import Image
from stages.synthetic import SyntheticSettings, SyntheticSource

PICTURES = 4


@dataclass(frozen=True)
class Cut:
    """A right hand in the middle of a picture of 224 x 224."""

    image: Image
    matrix: np.ndarray  # (3, 3)
    joints: np.ndarray  # (21, 3) m
    vertices: np.ndarray  # (V, 3) m


@pytest.fixture(scope="session")
def cuts() -> list[Cut]:
    """Some hands."""
    return list(_cuts())


def _cuts() -> Iterator[Cut]:
    source = SyntheticSource(SyntheticSettings(seed=3, width=480, height=360, fps=1, seconds=PICTURES))
    camera = source.open().camera
    for frame in source.frames():
        assert frame is not None
        (hand,) = (hand for hand in source.truth(frame.meta.pts) if hand.side == "right")
        least, most = hand.joints_2d.min(0), hand.joints_2d.max(0)
        (x, y), side = (least + most) / 2, 2 * (most - least).max()
        zoom = 224 / side
        to_cut = np.array([[zoom, 0, 112 - zoom * x], [0, zoom, 112 - zoom * y]])
        matrix = np.vstack([to_cut, [0, 0, 1]]) @ camera.matrix
        to_cut[:, 2] += (zoom - 1) / 2  # OpenCV's origin is a pixel's centre
        image = np.asarray(cv2.warpAffine(frame.image, to_cut, (224, 224)), np.uint8)
        yield Cut(image, matrix, hand.joints, hand.vertices)
    source.close()


@pytest.fixture(scope="session")
def freihand(cuts: list[Cut], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FreiHAND's layout; leave it as it is."""
    folder = tmp_path_factory.mktemp("freihand")
    pictures = folder / "evaluation" / "rgb"
    pictures.mkdir(parents=True)
    for number, cut in enumerate(cuts):
        cv2.imwrite(str(pictures / f"{number:08d}.jpg"), cut.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    for name, field in (("K", "matrix"), ("xyz", "joints"), ("verts", "vertices")):
        (folder / f"evaluation_{name}.json").write_text(json.dumps([getattr(cut, field).tolist() for cut in cuts]))
    (folder / "evaluation_scale.json").write_text(json.dumps([0.03] * len(cuts)))
    return folder


@pytest.fixture(scope="session")
def ho3d(cuts: list[Cut], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HO-3D's layout, version 3; leave it as it is."""
    folder = tmp_path_factory.mktemp("ho3d")
    sequence = folder / "evaluation" / "SM1"
    (sequence / "rgb").mkdir(parents=True)
    (sequence / "meta").mkdir()
    opengl = np.array([1.0, -1.0, -1.0])
    joints, vertices = [], []
    for number, cut in enumerate(cuts):
        cv2.imwrite(str(sequence / "rgb" / f"{number:04d}.jpg"), cut.image[..., ::-1])
        in_order = np.empty((21, 3))
        in_order[list(JOINTS_FROM_MODEL)] = cut.joints * opengl
        meta = {
            "handBoundingBox": [56, 56, 168, 168],
            "camMat": cut.matrix,
            "handJoints3D": in_order[0],
            "objName": "003_cracker_box",
        }
        meta["handBoundingBox"] = np.array(meta["handBoundingBox"])
        (sequence / "meta" / f"{number:04d}.pkl").write_bytes(pickle.dumps(meta, protocol=2))
        joints.append(in_order.tolist())
        vertices.append((cut.vertices * opengl).tolist())
    (folder / "evaluation.txt").write_text("".join(f"SM1/{number:04d}\n" for number in range(len(cuts))))
    (folder / "evaluation_xyz.json").write_text(json.dumps(joints))
    (folder / "evaluation_verts.json").write_text(json.dumps(vertices))
    return folder
