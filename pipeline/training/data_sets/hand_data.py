"""What a data set gives: a picture, and what is known of one hand in it.

To add one, write a class like those beside this file: how many hands there are, and what a hand is.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hamba_core.arrays import AnyFloats, Array, BoolArray
from hamba_core.errors import SourceError, error_reason
from hamba_core.hand import Side, exp_so3
from hamba_core.training import PictureTruth
from hamba_core.view import Intrinsics
from stages.packets import Image

LEAST_JOINTS = 6
"""A hand of which fewer joints are known in the picture has no box worth the name, and is left out."""

_NEAREST = 1e-3  # m
_LARGEST = 1e9
"""The largest number of a data set: millimetres, pixels, radians."""

_FROM_TIPS = (0, *(4 * finger + place for finger in range(5) for place in (4, 3, 2, 1)))
"""Takes joints whose fingers begin at the tip to the joint order; the wrist is first in both."""

T = TypeVar("T")


class NoHandError(SourceError):
    """A picture of a data set has no hand that could be learned from, as some of every set have: take another."""


@dataclass(frozen=True, eq=False)
class HandSample:
    """One hand in one picture."""

    name: str
    image: Image  # (H, W, 3) RGB
    truth: PictureTruth


class HandData(ABC):
    """A data set in a folder."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many hands it has."""

    @abstractmethod
    def sample(self, number: int) -> HandSample:
        """Return one hand. Raises SourceError; NoHandError where there is none to learn from."""


class ManoParameters(NamedTuple):
    """A hand's pose and shape as MANO has them; of a left hand the mirrored right one's."""

    global_orient: Array  # (3, 3)
    hand_pose: Array  # (15, 3, 3)
    betas: Array  # (10,)


def parameters_of(rotations: AnyFloats, betas: AnyFloats, side: Side = "right") -> ManoParameters:
    """Make them of 16 rotation vectors (48,), the wrist's first, and betas. A left hand's are mirrored."""
    vectors = np.asarray(rotations, np.float64).reshape(16, 3)
    if side == "left":
        vectors = vectors * (1, -1, -1)  # M R M of a rotation by this vector is the one by that
    matrices = exp_so3(vectors)
    return ManoParameters(matrices[0], matrices[1:], np.asarray(betas, np.float64).reshape(10))


def truth_of(
    side: Side,
    joints_2d: AnyFloats,
    known_2d: AnyFloats | BoolArray | None = None,
    joints: AnyFloats | None = None,
    known: AnyFloats | None = None,
    parameters: ManoParameters | None = None,
) -> PictureTruth:
    """Gather what is known of a hand; what is left out is not known, and of joints without `known` all are."""
    orient, pose, betas = parameters or ManoParameters(np.eye(3), np.tile(np.eye(3), (15, 1, 1)), np.zeros(10))
    return PictureTruth(
        side, np.asarray(joints_2d, np.float64), np.ones(21) if known_2d is None else np.asarray(known_2d, np.float64),
        np.zeros((21, 3)) if joints is None else np.asarray(joints, np.float64),
        (np.zeros(21) if joints is None else np.ones(21)) if known is None else np.asarray(known, np.float64),
        orient, pose, betas, float(parameters is not None),
    )  # fmt: skip


def inside(pixels: AnyFloats, image: Image) -> BoolArray:
    """Return which pixels (N, 2) lie in a picture."""
    height, width = image.shape[:2]
    within: BoolArray = np.all((pixels >= 0) & (pixels < (width, height)), axis=1)
    return within


def projected(camera: Intrinsics, joints: Array, what: str) -> Array:
    """Return the pixels (21, 2) of joints (21, 3) m. Raises NoHandError where some are not before the camera."""
    if (nearest := joints[:, 2].min()) < _NEAREST:
        raise NoHandError(f"{what}: expected a hand before the camera, found a joint at a depth of {nearest:g} m")
    return camera.project(joints)


def from_tips(joints: AnyFloats) -> Array:
    """Put joints (21, ...) whose fingers begin at the tip into the joint order."""
    return np.asarray(joints, np.float64)[list(_FROM_TIPS)]


def read_json(path: Path, kind: type[T], what: str) -> T:
    """Read what a JSON file holds, of which only this kind's fields are kept. Raises SourceError."""
    from hamba_core.untrusted import DocumentError, decode_json

    try:
        return decode_json(path.read_bytes(), kind)
    except (OSError, DocumentError) as error:
        raise SourceError(
            f"{path}: expected {what}, found: {error_reason(error)}; unpack the data set's archives there"
        ) from error


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read the mapping in a YAML file. Raises SourceError."""
    from hamba_core.untrusted import DocumentError, parse_yaml, read_text

    try:
        tree = parse_yaml(read_text(path))
    except (OSError, DocumentError) as error:
        raise SourceError(
            f"{path}: expected {what}, found: {error_reason(error)}; unpack the data set's archives there"
        ) from error
    if not isinstance(tree, dict):
        raise SourceError(f"{path}: expected {what}, found {type(tree).__name__}")
    return tree


def numbers(value: Any, shape: tuple[int, ...], what: str) -> Array:
    """Return an array of this shape and numbers that can be computed with. Raises SourceError, naming `what`."""
    try:
        array = np.asarray(value, np.float64).reshape(shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{what}: expected numbers {shape}, found: {error}") from error
    if not (np.abs(array) <= _LARGEST).all():  # NaN is not, either
        raise SourceError(f"{what}: expected finite numbers of at most {_LARGEST:g}, found others")
    return array
