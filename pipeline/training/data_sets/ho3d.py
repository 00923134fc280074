"""HO-3D's training split (Hampali et al., CVPR 2020), version 2 or 3: right hands that hold things.

train.txt   SEQUENCE/FRAME a line
train/SEQUENCE/rgb/FRAME.jpg (3) or .png (2)   train/SEQUENCE/meta/FRAME.pkl
"""

from pathlib import Path

import numpy as np

from hamba_core.hand import JOINTS_FROM_MODEL
from pipeline.evaluation import OPENGL, camera_of, read_image, read_lines, read_meta
from pipeline.training.data_sets.hand_data import (
    HandData,
    HandSample,
    ManoParameters,
    NoHandError,
    inside,
    numbers,
    parameters_of,
    projected,
    truth_of,
)
from pipeline.training.data_sets.pose_space import PoseSpace

_META = {"camMat": 9, "handJoints3D": 63, "handPose": 48, "handBeta": 10}
_INSIDE = 11  # joints that a hand has in its picture at least


class Ho3dTraining(HandData):
    """Its axes are OpenGL's, its joints have MANO's order with the tips last, its poses are about the open hand.

    `poses` only says that the network's hand is MANO's: without, pose and shape are not known.
    """

    def __init__(self, folder: Path, poses: PoseSpace | None = None) -> None:
        self._folder, self._with_parameters = folder, poses is not None
        self._names = read_lines(folder / "train.txt", "HO-3D")

    def __len__(self) -> int:
        return len(self._names)

    def sample(self, number: int) -> HandSample:
        name = self._names[number]
        sequence, _, frame = name.partition("/")
        folder = self._folder / "train" / sequence
        meta = read_meta(folder / "meta" / f"{frame}.pkl", _META)
        joints = numbers(meta["handJoints3D"], (21, 3), name)[list(JOINTS_FROM_MODEL)] * OPENGL
        pixels = projected(camera_of(numbers(meta["camMat"], (3, 3), name), name), joints, name)
        pictures = [folder / "rgb" / f"{frame}.{ending}" for ending in ("jpg", "png")]
        image = read_image(next((path for path in pictures if path.exists()), pictures[0]))
        within = inside(pixels, image)
        if within.sum() < _INSIDE:
            raise NoHandError(f"{name}: expected a hand in the picture, found {within.sum()} of its joints there")
        parameters = None
        if self._with_parameters:
            upright = parameters_of(meta["handPose"].ravel()[:48], meta["handBeta"].ravel()[:10])
            parameters = ManoParameters(np.diag(OPENGL) @ upright.global_orient, *upright[1:])
        return HandSample(name, image, truth_of("right", pixels, joints=joints, parameters=parameters))
