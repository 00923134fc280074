"""Published evaluation sets are read as their archives lay them out, and answers are written in the sets' own form.

To add one, write a class like those below: how many samples there are, what a sample is, and how an answer is written.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from hamba_core.arrays import Array, Float32Array
from hamba_core.hand import JOINTS_FROM_MODEL, Side
from hamba_core.view import Intrinsics
from pipeline.evaluation.published_files import OPENGL, camera_of, read_image, read_lines, read_list, read_meta
from stages.packets import Image

FREIHAND_TIPS: Final = (744, 320, 443, 555, 672)
"""Vertices of MANO's mesh that FreiHAND takes for the tips, thumb first. smplx, and networks trained with it, have 554
and 671 for those of ring and little finger."""
_TIP_JOINTS: Final = (4, 8, 12, 16, 20)
_MANO_VERTICES: Final = 778


@dataclass(frozen=True, eq=False)
class Sample:
    """One hand in one picture, as a data set shows it to an estimator."""

    name: str
    image: Image  # (H, W, 3) RGB
    camera: Intrinsics
    box: Float32Array  # (4,) px: left, top, right, bottom
    side: Side
    wrist: Array | None = None  # (3,) m, camera frame, where the data set gives it


@dataclass(frozen=True, eq=False)
class Answer:
    """What an estimator says: a hand in the camera frame, metres, joint order."""

    joints: Array  # (21, 3)
    vertices: Array  # (V, 3)


class PublishedData(ABC):
    """An evaluation set in a folder."""

    name: str
    folder: Path

    @abstractmethod
    def __len__(self) -> int:
        """Return how many samples the set has."""

    @abstractmethod
    def sample(self, number: int) -> Sample:
        """Return one sample. Raises SourceError."""

    @abstractmethod
    def published(self, answer: Answer, sample: Sample) -> Answer:
        """Return the answer in the set's own joint order, axes and origin, as its server takes it."""

    def in_camera(self, joints: Array) -> Array:
        """Return published joints (21, 3) in our joint order and axes; a set that has others overrides it."""
        return joints


class FreiHand(PublishedData):
    """FreiHAND's evaluation set (Zimmermann et al., ICCV 2019), `FreiHAND_pub_v2_eval`: 3,960 right hands.

    A hand fills the middle of its picture of 224 x 224: its box is the middle half, which the crop enlarges.
    """

    name = "freihand"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._matrices: Any = read_list(folder / "evaluation_K.json")

    def __len__(self) -> int:
        return len(self._matrices)

    def sample(self, number: int) -> Sample:
        name = f"{number:08d}"
        image = read_image(self.folder / "evaluation" / "rgb" / f"{name}.jpg")
        height, width = image.shape[:2]
        box = np.array([width / 4, height / 4, 3 * width / 4, 3 * height / 4], np.float32)
        return Sample(name, image, camera_of(self._matrices[number], name), box, "right")

    def published(self, answer: Answer, sample: Sample) -> Answer:
        joints = answer.joints.copy()
        if len(answer.vertices) == _MANO_VERTICES:
            joints[list(_TIP_JOINTS)] = answer.vertices[list(FREIHAND_TIPS)]
        return Answer(joints, answer.vertices)


class Ho3d(PublishedData):
    """HO-3D's evaluation split (Hampali et al., CVPR 2020), version 2 or 3: right hands that hold things.

    Its answers have MANO's joint order with the tips last, OpenGL's axes, and the wrist where the set says that it is.
    """

    def __init__(self, folder: Path, version: Literal[2, 3]) -> None:
        self.name = f"ho3d_v{version}"
        self.folder, self._ending = folder, "png" if version == 2 else "jpg"
        self._names = read_lines(folder / "evaluation.txt", "HO-3D")

    def __len__(self) -> int:
        return len(self._names)

    def sample(self, number: int) -> Sample:
        name = self._names[number]
        sequence, _, frame = name.partition("/")
        folder = self.folder / "evaluation" / sequence
        meta = read_meta(folder / "meta" / f"{frame}.pkl", _META)
        wrist = meta["handJoints3D"].ravel()[:3].astype(np.float64) * OPENGL
        return Sample(
            name, read_image(folder / "rgb" / f"{frame}.{self._ending}"),
            camera_of(meta["camMat"], name), meta["handBoundingBox"].ravel()[:4].astype(np.float32),
            "right", wrist,
        )  # fmt: skip

    def published(self, answer: Answer, sample: Sample) -> Answer:
        move = 0.0 if sample.wrist is None else sample.wrist - answer.joints[0]
        in_order = np.empty_like(answer.joints)
        in_order[list(JOINTS_FROM_MODEL)] = answer.joints
        return Answer((in_order + move) * OPENGL, (answer.vertices + move) * OPENGL)

    def in_camera(self, joints: Array) -> Array:
        ours: Array = (joints * OPENGL)[list(JOINTS_FROM_MODEL)]
        return ours


_META: Final = {"handBoundingBox": 4, "camMat": 9, "handJoints3D": 3}
"""Numbers that each of them has at least."""
