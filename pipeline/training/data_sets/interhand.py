"""InterHand2.6M (Moon et al., ECCV 2020), version 1.0, single and interacting hands of either side before many cameras.

    images/train/Capture0/...jpg
    annotations/train/InterHand2.6M_train_{data,camera,joint_3d,MANO_NeuralAnnot}.json

Joints are millimetres of a world that the cameras stand in; each hand's begin with the thumb's tip, and end with the
wrist.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import SourceError
from hamba_core.hand import MIRROR, SIDES, Side, exp_so3
from hamba_core.view import Intrinsics
from pipeline.evaluation import read_image
from pipeline.training.data_sets.hand_data import (
    LEAST_JOINTS,
    HandData,
    HandSample,
    ManoParameters,
    from_tips,
    numbers,
    parameters_of,
    projected,
    read_json,
    truth_of,
)
from pipeline.training.data_sets.pose_space import PoseSpace

_MILLIMETRES = 1000.0
_FIRST = {"right": 0, "left": 21}  # joint of each side


class _Picture(msgspec.Struct):
    id: int
    file_name: str
    capture: int
    camera: str
    frame_idx: int


class _Annotation(msgspec.Struct):
    image_id: int
    joint_valid: list[Any]


class _Data(msgspec.Struct):
    images: list[_Picture]
    annotations: list[_Annotation]


class _Cameras(msgspec.Struct):
    campos: dict[str, list[Any]]
    camrot: dict[str, list[Any]]
    focal: dict[str, list[float]]
    princpt: dict[str, list[float]]


class _Joints(msgspec.Struct):
    world_coord: list[Any]


class _Fitted(msgspec.Struct):
    pose: list[Any]
    shape: list[Any]


class InterHandTraining(HandData):
    """Every hand of which enough joints are known, a picture with two of them twice.

    Poses are given about MANO's mean pose: without `poses`, pose and shape are not known.
    """

    def __init__(self, folder: Path, poses: PoseSpace | None = None) -> None:
        self._folder, self._poses = folder, poses
        annotations = folder / "annotations" / "train"

        def read(name: str, kind: Any) -> Any:
            return read_json(annotations / f"InterHand2.6M_train_{name}.json", kind, "InterHand2.6M's annotations")

        data: _Data = read("data", _Data)
        self._cameras: dict[str, _Cameras] = read("camera", dict[str, _Cameras])
        self._joints: dict[str, dict[str, _Joints]] = read("joint_3d", dict[str, dict[str, _Joints]])
        kind = dict[str, dict[str, dict[str, _Fitted | None] | None]]
        self._mano: kind = {} if poses is None else read("MANO_NeuralAnnot", kind)
        pictures = {picture.id: picture for picture in data.images}
        self._hands: list[tuple[_Picture, Side, Array]] = []
        for annotation in data.annotations:
            valid = numbers(annotation.joint_valid, (42,), f"annotation of image {annotation.image_id}")
            for side in SIDES:
                known = _of_side(valid, side)
                if known.sum() >= LEAST_JOINTS:
                    if annotation.image_id not in pictures:
                        raise SourceError(f"{annotations}: expected image {annotation.image_id}, found none")
                    self._hands.append((pictures[annotation.image_id], side, known))

    def __len__(self) -> int:
        return len(self._hands)

    def sample(self, number: int) -> HandSample:
        picture, side, known = self._hands[number]
        capture, frame = str(picture.capture), str(picture.frame_idx)
        try:
            cameras, world = self._cameras[capture], self._joints[capture][frame].world_coord
            focal, principal = cameras.focal[picture.camera], cameras.princpt[picture.camera]
            R, place = cameras.camrot[picture.camera], cameras.campos[picture.camera]
        except KeyError as error:
            raise SourceError(f"{picture.file_name}: expected its camera and joints, found none for {error}") from error
        R_camera_world = numbers(R, (3, 3), picture.file_name)
        points = _of_side(numbers(world, (42, 3), picture.file_name), side)
        joints = (points - numbers(place, (3,), picture.file_name)) @ R_camera_world.T / _MILLIMETRES
        (fx, fy), (cx, cy) = numbers([focal, principal], (2, 2), picture.file_name).tolist()
        camera = Intrinsics(fx, fy, cx, cy)
        truth = truth_of(
            side,
            projected(camera, joints, picture.file_name),
            known,
            joints,
            known,
            self._parameters(capture, frame, side, R_camera_world),
        )
        return HandSample(
            f"{picture.file_name} {side}", read_image(self._folder / "images" / "train" / picture.file_name), truth
        )

    def _parameters(self, capture: str, frame: str, side: Side, R_camera_world: Array) -> ManoParameters | None:
        fitted = (self._mano.get(capture, {}).get(frame) or {}).get(side)
        if fitted is None or self._poses is None:
            return None
        where = f"capture {capture}, frame {frame}, {side}"
        pose, betas = numbers(fitted.pose, (16, 3), where), numbers(fitted.shape, (10,), where)
        in_camera = parameters_of(np.zeros(48), betas, side)
        # The mean is the right hand's, of which the left one's is the mirror image.
        fingers = (pose[1:] * ((1, -1, -1) if side == "left" else 1)).ravel()
        orient = R_camera_world @ exp_so3(pose[0])
        if side == "left":
            orient = MIRROR @ orient @ MIRROR
        return in_camera._replace(
            global_orient=orient, hand_pose=exp_so3(self._poses.about_mean(fingers).reshape(15, 3))
        )


def _of_side(both: Array, side: Side) -> Array:
    """Return one hand's rows of (42, ...) in the joint order."""
    own = both[_FIRST[side] : _FIRST[side] + 21]
    return from_tips(np.concatenate([own[20:], own[:20]]))
