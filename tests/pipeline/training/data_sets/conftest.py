"""Tiny folders in the layouts of published data sets, with made-up hands whose wrists are bright in their pictures."""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hamba_core.arrays import Array
from hamba_core.hand import JOINTS_FROM_MODEL, Side, exp_so3, load_generic_hand, mirrored_rotations
from hamba_core.view import Intrinsics
from pipeline.training.data_sets import PoseSpace

CAMERA = Intrinsics(400.0, 400.0, 160.0, 120.0)
WIDTH, HEIGHT = 320, 240


@dataclass(frozen=True)
class MadeHand:
    """A hand, and how its side's own MANO model would have it."""

    side: Side
    vectors: Array  # (16, 3) rotation vectors of the hand itself, the wrist's first
    betas: Array  # (10,)
    joints: Array  # (21, 3) m

    @property
    def joints_2d(self) -> Array:
        return CAMERA.project(self.joints)

    def orient(self) -> Array:
        """As this project has it: of a left hand, the mirrored right one's."""
        return mirrored_rotations(exp_so3(self.vectors[0]), self.side)

    def pose(self) -> Array:
        return mirrored_rotations(exp_so3(self.vectors[1:]), self.side)

    def write(self, path: Path) -> None:
        """A grey picture with a bright spot at the wrist."""
        rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        x, y = self.joints_2d[0]
        spot = 60 + 190 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.repeat(spot[..., None], 3, 2).astype(np.uint8))


def made(seed: int, side: Side = "right") -> MadeHand:
    """A hand of the generic model in the middle of the picture."""
    random = np.random.default_rng(seed)
    vectors = np.concatenate([random.normal(0, 1, (1, 3)), random.normal(0, 0.2, (15, 3))])
    betas, model = random.normal(0, 1, 10), load_generic_hand()
    orient, pose = (mirrored_rotations(exp_so3(rows), side) for rows in (vectors[0], vectors[1:]))
    joints = model.joints(orient, pose, betas, np.zeros(3), side)
    return MadeHand(side, vectors, betas, joints - joints.mean(0) + (0, 0, 0.5))


@pytest.fixture(scope="session")
def hands() -> list[MadeHand]:
    return [made(seed) for seed in range(4)]


@pytest.fixture(scope="session")
def either_side() -> list[MadeHand]:
    return [made(10, "right"), made(11, "left"), made(12, "right"), made(13, "left")]


@pytest.fixture(scope="session")
def poses() -> PoseSpace:
    random = np.random.default_rng(0)
    return PoseSpace(random.normal(0, 0.2, 45), np.linalg.qr(random.normal(0, 1, (45, 45)))[0])


@pytest.fixture
def freihand_training(hands: list[MadeHand], poses: PoseSpace, tmp_path: Path) -> Path:
    for copy in range(4):
        for number, hand in enumerate(hands):
            hand.write(tmp_path / "training" / "rgb" / f"{copy * len(hands) + number:08d}.jpg")
    mano = [
        [[*hand.vectors[0], *(hand.vectors[1:].ravel() - poses.mean), *hand.betas, 0.0, 0.0, 1.0]] for hand in hands
    ]
    lists = {
        "K": [CAMERA.matrix.tolist()] * len(hands), "xyz": [hand.joints.tolist() for hand in hands], "mano": mano,
    }  # fmt: skip
    for name, values in lists.items():
        (tmp_path / f"training_{name}.json").write_text(json.dumps(values))
    return tmp_path


@pytest.fixture
def ho3d_training(hands: list[MadeHand], tmp_path: Path) -> Path:
    opengl = np.diag([1.0, -1.0, -1.0])
    for number, hand in enumerate(hands):
        hand.write(tmp_path / "train" / "ABF10" / "rgb" / f"{number:04d}.{'jpg' if number % 2 else 'png'}")
        in_order = np.empty((21, 3))
        in_order[list(JOINTS_FROM_MODEL)] = hand.joints @ opengl
        vectors = hand.vectors.copy()
        vectors[0] = cv2.Rodrigues(opengl @ exp_so3(hand.vectors[0]))[0].ravel()
        meta = {
            "camMat": CAMERA.matrix, "handJoints3D": in_order, "handPose": vectors.ravel(), "handBeta": hand.betas,
            "objName": "021_bleach_cleanser",
        }  # fmt: skip
        path = tmp_path / "train" / "ABF10" / "meta" / f"{number:04d}.pkl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(meta, protocol=2))
    (tmp_path / "train.txt").write_text("".join(f"ABF10/{number:04d}\n" for number in range(len(hands))))
    return tmp_path


@pytest.fixture
def interhand(either_side: list[MadeHand], poses: PoseSpace, tmp_path: Path) -> Path:
    """A right hand alone, then both, then a hand of which little is known; a turned camera, millimetres."""
    right, left, other, _ = either_side
    R, place = exp_so3(np.array([0.3, -0.8, 0.2])), np.array([0.4, -0.2, 1.3])
    frames: list[list[MadeHand]] = [[right], [other, left]]
    images, annotations, joints, mano = [], [], {}, {}
    for number, group in enumerate(frames):
        name = f"Capture0/0000_neutral/cam400002/image{number}.jpg"
        group[0].write(tmp_path / "images" / "train" / name)
        images.append(
            {"id": number, "file_name": name, "capture": 0, "camera": "400002", "frame_idx": number, "width": WIDTH}
        )
        world, valid, fitted = np.zeros((42, 3)), np.zeros((42, 1), int), {}
        for hand in group:
            first = 0 if hand.side == "right" else 21
            order = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]
            world[first : first + 21] = (hand.joints @ R + place)[order] * 1000
            valid[first : first + 21] = 1
            orient = cv2.Rodrigues(R.T @ exp_so3(hand.vectors[0]))[0].ravel()
            mean = poses.mean.reshape(15, 3) * ((1, -1, -1) if hand.side == "left" else 1)
            pose = np.concatenate([orient, (hand.vectors[1:] - mean).ravel()])
            fitted[hand.side] = {"pose": pose.tolist(), "shape": hand.betas.tolist(), "trans": [0, 0, 0]}
        if number == 0:
            valid[3] = 0  # the thumb's first joint
        annotations.append({"id": number, "image_id": number, "joint_valid": valid.tolist(), "hand_type": "right"})
        joints[str(number)] = {"world_coord": world.tolist(), "joint_valid": valid.tolist(), "hand_type": "right"}
        mano[str(number)] = {"right": fitted.get("right"), "left": fitted.get("left")}
    cameras = {
        "campos": {"400002": (place * 1000).tolist()}, "camrot": {"400002": R.tolist()},
        "focal": {"400002": [CAMERA.fx, CAMERA.fy]}, "princpt": {"400002": [CAMERA.cx, CAMERA.cy]},
    }  # fmt: skip
    folder = tmp_path / "annotations" / "train"
    folder.mkdir(parents=True)
    files: dict[str, Any] = {
        "data": {"images": images, "annotations": annotations}, "camera": {"0": cameras}, "joint_3d": {"0": joints},
        "MANO_NeuralAnnot": {"0": mano},
    }  # fmt: skip
    for name, content in files.items():
        (folder / f"InterHand2.6M_train_{name}.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def dexycb(either_side: list[MadeHand], poses: PoseSpace, tmp_path: Path) -> Path:
    """Six sequences of one picture, of which the fifth is s0's to test with."""
    subject = tmp_path / "20200709-subject-01"
    for number in range(6):
        hand = either_side[number % 2]
        sequence = subject / f"20200709_14170{number}"
        hand.write(sequence / "836212060125" / "color_000000.jpg")
        right = hand.vectors[1:] * ((1, -1, -1) if hand.side == "left" else 1)
        shares = (right.ravel() - poses.mean) @ poses.components.T
        np.savez(
            sequence / "836212060125" / "labels_000000.npz", seg=np.zeros((4, 4), np.uint8),
            joint_3d=hand.joints[None].astype(np.float32), joint_2d=hand.joints_2d[None].astype(np.float32),
            pose_m=np.concatenate([hand.vectors[0], shares, [0, 0, 0.5]])[None].astype(np.float32),
        )  # fmt: skip
        calibration = tmp_path / "calibration" / f"mano_calib-{number}" / "mano.yml"
        calibration.parent.mkdir(parents=True)
        calibration.write_text(json.dumps({"betas": hand.betas.tolist()}))
        meta = {
            "num_frames": 1,
            "mano_sides": [hand.side],
            "mano_calib": [f"calib-{number}"],
            "serials": ["836212060125"],
        }
        (sequence / "meta.yml").write_text(json.dumps(meta))
    return tmp_path


@pytest.fixture
def rhd(either_side: list[MadeHand], tmp_path: Path) -> Path:
    """Pictures with a right hand, with a left one, and with one that is hidden."""
    order = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
    records = {}
    for number, hand in enumerate(either_side[:3]):
        hand.write(tmp_path / "training" / "color" / f"{number:05d}.png")
        xyz, uv = np.zeros((42, 3), np.float32), np.zeros((42, 3), np.float32)
        first = 21 if hand.side == "right" else 0
        xyz[first : first + 21] = hand.joints[order]
        uv[first : first + 21, :2] = hand.joints_2d[order]
        uv[first : first + 21, 2] = number < 2
        records[number] = {"xyz": xyz, "uv_vis": uv, "K": CAMERA.matrix.astype(np.float32)}
    (tmp_path / "training" / "anno_training.pickle").write_bytes(pickle.dumps(records, protocol=2))
    return tmp_path


@pytest.fixture
def coco_wholebody(either_side: list[MadeHand], tmp_path: Path) -> Path:
    """A person with two hands of which the left one is not clear, and one with a left hand alone."""
    right, left = either_side[:2]
    right.write(tmp_path / "train2017" / "000000000009.jpg")
    left.write(tmp_path / "train2017" / "000000000025.jpg")

    def marked(hand: MadeHand) -> list[float]:
        seen = np.full((21, 1), 0.7)
        seen[7] = 0
        rows: list[float] = np.hstack([hand.joints_2d, seen]).ravel().tolist()
        return rows

    people = [
        {
            "image_id": 9, "id": 1, "righthand_valid": True, "righthand_kpts": marked(right), "lefthand_valid": False,
            "lefthand_kpts": [0.0] * 63, "keypoints": [0] * 51,
        },
        {"image_id": 25, "id": 2, "lefthand_valid": True, "lefthand_kpts": marked(left), "righthand_valid": False},
    ]  # fmt: skip
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "height": HEIGHT, "width": WIDTH} for n in (9, 25)]
    path = tmp_path / "annotations" / "coco_wholebody_train_v1.0.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"info": {}, "images": images, "annotations": people}))
    return tmp_path


@pytest.fixture
def hint(either_side: list[MadeHand], tmp_path: Path) -> Path:
    """Two pictures of New Days, and one of Ego4D whose picture is missing."""
    for number, hand in enumerate(either_side[:2]):
        path = tmp_path / "TRAIN_newdays_img" / f"ND_frame{number:06d}_{hand.side[0]}"
        hand.write(path.with_suffix(".jpg"))
        annotation = [{"bbox": [[0, 0, 9, 9]], "keypoints": [hand.joints_2d.tolist()], "occlusion": [[0] * 21]}]
        path.with_suffix(".json").write_text(json.dumps(annotation))
    missing = tmp_path / "TRAIN_ego4d_img" / "clip_l.json"
    missing.parent.mkdir()
    missing.write_text(json.dumps([]))
    return tmp_path


Layouts = Callable[[str], Path]


@pytest.fixture
def layout(request: pytest.FixtureRequest) -> Layouts:
    """layout(name) -> the folder of a data set by the name that `DATA_SETS` has for it."""
    fixtures = {"freihand": "freihand_training", "ho3d": "ho3d_training"}
    return lambda name: request.getfixturevalue(fixtures.get(name, name))
