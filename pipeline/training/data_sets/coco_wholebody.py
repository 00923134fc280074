"""The hands of COCO-WholeBody (Jin et al., ECCV 2020), in pictures of COCO 2017.

train2017/000000000009.jpg ...   annotations/coco_wholebody_train_v1.0.json
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import SourceError
from hamba_core.hand import SIDES, Side
from pipeline.evaluation import read_image
from pipeline.training.data_sets.hand_data import LEAST_JOINTS, HandData, HandSample, numbers, read_json, truth_of
from pipeline.training.data_sets.pose_space import PoseSpace


class _Picture(msgspec.Struct):
    id: int
    file_name: str


class _Person(msgspec.Struct):
    image_id: int
    lefthand_valid: bool = False
    righthand_valid: bool = False
    lefthand_kpts: list[Any] = []
    righthand_kpts: list[Any] = []


class _Annotations(msgspec.Struct):
    images: list[_Picture]
    annotations: list[_Person]


class CocoWholeBodyTraining(HandData):
    """Every hand that is marked as clear. Only its joints in the picture are known."""

    def __init__(self, folder: Path, poses: PoseSpace | None = None) -> None:
        self._folder = folder
        path = folder / "annotations" / "coco_wholebody_train_v1.0.json"
        annotations = read_json(path, _Annotations, "COCO-WholeBody's annotations")
        names = {picture.id: picture.file_name for picture in annotations.images}
        self._hands: list[tuple[str, Side, Array]] = []
        for person in annotations.annotations:
            for side in SIDES:
                if not getattr(person, f"{side}hand_valid"):
                    continue
                marked = numbers(getattr(person, f"{side}hand_kpts"), (21, 3), f"image {person.image_id}, {side} hand")
                if (marked[:, 2] > 0).sum() >= LEAST_JOINTS:
                    if person.image_id not in names:
                        raise SourceError(f"{path}: expected image {person.image_id} of a person, found none")
                    self._hands.append((names[person.image_id], side, marked))

    def __len__(self) -> int:
        return len(self._hands)

    def sample(self, number: int) -> HandSample:
        name, side, marked = self._hands[number]
        image = read_image(self._folder / "train2017" / name)
        return HandSample(f"{name} {side}", image, truth_of(side, marked[:, :2], np.asarray(marked[:, 2] > 0, float)))
