"""HInt (Pavlakos et al., CVPR 2024), hands in everyday pictures: folders of pictures, each with its annotation.

    TRAIN_newdays_img/NAME_r.jpg  TRAIN_newdays_img/NAME_r.json   likewise TRAIN_epick_img, TRAIN_ego4d_img

A name ends with the hand's side. The pictures of Ego4D come from elsewhere; those that are missing are passed over.
"""

from pathlib import Path
from typing import Any

import msgspec

from hamba_core.errors import SourceError
from hamba_core.hand import Side
from pipeline.evaluation import read_image
from pipeline.training.data_sets.hand_data import (
    LEAST_JOINTS,
    HandData,
    HandSample,
    NoHandError,
    inside,
    numbers,
    read_json,
    truth_of,
)
from pipeline.training.data_sets.pose_space import PoseSpace

_SIDES: dict[str, Side] = {"l": "left", "r": "right"}


class _Hand(msgspec.Struct):
    keypoints: list[Any]


class HIntTraining(HandData):
    """One hand a picture. Only its joints in the picture are known, hidden ones too."""

    def __init__(self, folder: Path, poses: PoseSpace | None = None) -> None:
        folders = sorted(folder.glob("TRAIN_*"))
        self._annotations = [
            path
            for each in folders
            for path in sorted(each.glob("*.json"))
            if path.with_suffix(".jpg").exists() and path.stem.rpartition("_")[2] in _SIDES
        ]
        if not self._annotations:
            raise SourceError(
                f"{folder}: expected HInt with TRAIN_newdays_img or its like and pictures with annotations in it, "
                f"found {len(folders)} such folders and no pairs"
            )

    def __len__(self) -> int:
        return len(self._annotations)

    def sample(self, number: int) -> HandSample:
        path = self._annotations[number]
        hands = read_json(path, list[_Hand], "HInt's annotation of a picture")
        if len(hands) != 1:
            raise SourceError(f"{path}: expected one hand, found {len(hands)}")
        joints_2d = numbers(hands[0].keypoints, (21, 2), str(path))
        image = read_image(path.with_suffix(".jpg"))
        within = inside(joints_2d, image)
        if within.sum() < LEAST_JOINTS:
            raise NoHandError(f"{path}: expected a hand in the picture, found {within.sum()} of its joints there")
        side = _SIDES[path.stem.rpartition("_")[2]]
        return HandSample(f"{path.parent.name}/{path.stem}", image, truth_of(side, joints_2d, within))
