"""The files of published data sets: lists in JSON, pictures, camera matrices, HO-3D's descriptions of pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from hamba_core.arrays import AnyArray
from hamba_core.errors import SourceError, error_reason
from hamba_core.untrusted import DocumentError, NotArraysError, decode_json, read_pickled_arrays
from hamba_core.view import Intrinsics
from stages.packets import Image

OPENGL: Final = (1.0, -1.0, -1.0)
"""Takes OpenCV's axes to OpenGL's (x right, y up, z backward) and back."""


def read_list(path: Path) -> list[Any]:
    """Read the list in a JSON file. Raises SourceError."""
    try:
        content = decode_json(path.read_bytes(), object)
    except (OSError, DocumentError) as error:
        raise SourceError(
            f"{path}: expected a list in JSON, found: {error_reason(error)}; unpack the data set's archive"
        ) from error
    if not isinstance(content, list):
        raise SourceError(f"{path}: expected a list in JSON, found {type(content).__name__}")
    return content


def read_image(path: Path) -> Image:
    """Read a picture (H, W, 3) RGB. Raises SourceError."""
    import cv2

    try:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        raise SourceError(f"{path}: expected a picture of the data set, found: {error_reason(error)}") from error
    if image is None:
        raise SourceError(f"{path}: expected a picture, found something that cannot be decoded")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def read_lines(path: Path, what: str) -> list[str]:
    """Read the words of a text file, as a split's list of pictures is. Raises SourceError."""
    try:
        return path.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path.parent}: expected {what} with {path.name} in it, found: {error_reason(error)}"
        ) from error


def camera_of(matrix: Any, name: str) -> Intrinsics:
    """Make a camera of its matrix (3, 3), an array or lists. Raises SourceError, ConfigurationError."""
    try:
        numbers = np.asarray(matrix, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{name}: expected a camera matrix (3, 3), found: {error}") from error
    if numbers.shape != (3, 3):
        raise SourceError(f"{name}: expected a camera matrix (3, 3), found {numbers.shape}")
    return Intrinsics(float(numbers[0, 0]), float(numbers[1, 1]), float(numbers[0, 2]), float(numbers[1, 2]))


def read_meta(path: Path, least: Mapping[str, int]) -> dict[str, AnyArray]:
    """Read HO-3D's description of a picture: arrays by name, each of so many finite numbers at least.

    Raises SourceError.
    """
    try:
        arrays = read_pickled_arrays(path.read_bytes(), list(least))
    except (OSError, NotArraysError) as error:
        raise SourceError(f"{path}: expected HO-3D's description of a picture, found: {error_reason(error)}") from error
    for name, count in least.items():
        if name not in arrays or arrays[name].size < count or not np.isfinite(arrays[name]).all():
            raise SourceError(f"{path}: expected {name} with {count} numbers, found {arrays.get(name)!r:.80}")
    return arrays
