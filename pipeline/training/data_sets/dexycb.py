"""DexYCB (Chao et al., CVPR 2021): a hand of either side that takes things, before eight cameras. Its split s0.

20200709-subject-01/20200709_141754/meta.yml
20200709-subject-01/20200709_141754/836212060125/{color_000000.jpg,labels_000000.npz} ...
calibration/intrinsics/836212060125_640x480.yml   calibration/mano_.../mano.yml
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import SourceError, error_reason
from hamba_core.hand import Side
from hamba_core.untrusted import DocumentError, read_npz
from pipeline.evaluation import read_image
from pipeline.training.data_sets.hand_data import (
    HandData,
    HandSample,
    ManoParameters,
    NoHandError,
    inside,
    numbers,
    parameters_of,
    read_yaml,
    truth_of,
)
from pipeline.training.data_sets.pose_space import PoseSpace

_EVERY, _LEFT_OUT = 5, 4  # s0 keeps every fifth sequence of a subject for its tests
_LABELS = ("joint_3d", "joint_2d", "pose_m")
_LARGEST_ARRAY = 8 * 1024 * 1024
_UNKNOWN = -1.0  # all numbers of a hand that is not there


class _Sequence(NamedTuple):
    folder: Path
    side: Side
    betas: Array


class DexYcbTraining(HandData):
    """Every picture with a hand in it, of the sequences that s0 trains on.

    Its poses are shares of MANO's directions of pose: without `poses`, pose and shape are not known.
    """

    def __init__(self, folder: Path, poses: PoseSpace | None = None) -> None:
        self._poses = poses
        subjects = sorted(path for path in folder.glob("*-subject-*") if path.is_dir())
        if not subjects:
            raise SourceError(f"{folder}: expected DexYCB with folders like 20200709-subject-01, found none")
        self._labels: list[tuple[_Sequence, Path]] = []
        for subject in subjects:
            sequences = sorted(path for path in subject.iterdir() if path.is_dir())
            for number, path in enumerate(sequences):
                if number % _EVERY == _LEFT_OUT:
                    continue
                sequence = _sequence(folder, path)
                self._labels += [(sequence, label) for label in sorted(path.glob("*/labels_*.npz"))]

    def __len__(self) -> int:
        return len(self._labels)

    def sample(self, number: int) -> HandSample:
        sequence, path = self._labels[number]
        try:
            label = read_npz(path.read_bytes(), _LABELS, _LARGEST_ARRAY)
        except (OSError, DocumentError) as error:
            raise SourceError(f"{path}: expected DexYCB's labels of a picture, found: {error_reason(error)}") from error
        if len(label) < len(_LABELS):
            raise SourceError(f"{path}: expected DexYCB's labels {', '.join(_LABELS)}, found {', '.join(label)}")
        joints, joints_2d = (numbers(label[f"joint_{n}d"], (21, n), str(path)) for n in (3, 2))
        if (joints == _UNKNOWN).all():
            raise NoHandError(f"{path}: expected a hand in the picture, found none")
        image = read_image(path.with_name(path.name.replace("labels_", "color_")).with_suffix(".jpg"))
        within = inside(joints_2d, image)
        truth = truth_of(
            sequence.side, joints_2d, within, joints, parameters=self._parameters(label["pose_m"], sequence, str(path))
        )
        return HandSample(f"{path.parent.parent.name}/{path.parent.name}/{path.stem}", image, truth)

    def _parameters(self, pose: Array, sequence: _Sequence, where: str) -> ManoParameters | None:
        if self._poses is None:
            return None
        values = numbers(pose, (51,), where)
        # Each hand's directions are its own side's, whose vectors are mirrored: the shares are the same.
        fingers = self._poses.along_components(values[3:48])
        upright = parameters_of(np.concatenate([values[:3], np.zeros(45)]), sequence.betas, sequence.side)
        right = parameters_of(np.concatenate([np.zeros(3), fingers]), sequence.betas)
        return right._replace(global_orient=upright.global_orient)


def _sequence(folder: Path, path: Path) -> _Sequence:
    meta = read_yaml(path / "meta.yml", "DexYCB's description of a sequence")
    try:
        side, calibration = meta["mano_sides"][0], meta["mano_calib"][0]
    except (KeyError, IndexError, TypeError) as error:
        raise SourceError(f"{path / 'meta.yml'}: expected mano_sides and mano_calib, found {meta!r:.80}") from error
    if side not in ("left", "right"):
        raise SourceError(f"{path / 'meta.yml'}: expected the side left or right, found {side!r}")
    shape_file = folder / "calibration" / f"mano_{calibration}" / "mano.yml"
    betas = read_yaml(shape_file, "a subject's hand shape").get("betas")
    return _Sequence(path, side, numbers(betas, (10,), str(shape_file)))
