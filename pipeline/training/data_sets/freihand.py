"""FreiHAND's training set (Zimmermann et al., ICCV 2019), `FreiHAND_pub_v2`: 32,560 right hands, four backgrounds.

training/rgb/00000000.jpg ...   every hand before green, then all again before other backgrounds
training_K.json  training_xyz.json  training_mano.json
"""

from pathlib import Path

import numpy as np

from hamba_core.errors import SourceError
from pipeline.evaluation import camera_of, read_image, read_list
from pipeline.training.data_sets.hand_data import HandData, HandSample, numbers, parameters_of, projected, truth_of
from pipeline.training.data_sets.pose_space import PoseSpace

_POSE, _BETAS = 48, 10


class FreiHandTraining(HandData):
    """Its poses are given about MANO's mean pose: without `poses`, pose and shape are not known."""

    def __init__(self, folder: Path, poses: PoseSpace | None = None) -> None:
        self._folder, self._poses = folder, poses
        self._matrices, self._joints, self._mano = (
            read_list(folder / f"training_{name}.json") for name in ("K", "xyz", "mano")
        )
        counts = len(self._matrices), len(self._joints), len(self._mano)
        if not counts[0] or len(set(counts)) != 1:
            raise SourceError(f"{folder}: expected as many cameras as hands and parameters, found {counts}")
        pictures = sum(1 for _ in (folder / "training" / "rgb").glob("*.jpg"))
        self._count = pictures // counts[0] * counts[0]

    def __len__(self) -> int:
        return self._count

    def sample(self, number: int) -> HandSample:
        name, hand = f"training/rgb/{number:08d}.jpg", number % len(self._matrices)
        joints = numbers(self._joints[hand], (21, 3), name)
        camera = camera_of(numbers(self._matrices[hand], (3, 3), name), name)
        parameters = None
        if self._poses is not None:
            values = numbers(numbers(self._mano[hand], (-1,), name)[: _POSE + _BETAS], (_POSE + _BETAS,), name)
            vectors = np.concatenate([values[:3], self._poses.about_mean(values[3:_POSE])])
            parameters = parameters_of(vectors, values[_POSE:])
        truth = truth_of("right", projected(camera, joints, name), joints=joints, parameters=parameters)
        return HandSample(name, read_image(self._folder / name), truth)
