"""Other programs write calibrations in many forms: OpenCV, ROS, Kalibr, COLMAP, and people by hand.

Each becomes the same few numbers, in OpenCV's terms: pixels are counted from the centre of the first; distortion is k1,
k2, p1, p2, k3... or, of a fisheye lens, the four numbers of the equidistant model, which is Kalibr's and ROS's too.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.untrusted import DocumentError

Array = NDArray[np.float64]

_LARGEST_SIDE: Final = 1 << 20  # px
_MATRIX: Final = ("cameramatrix", "k", "intrinsicmatrix", "cameraintrinsics", "mtx")
_DISTORTION: Final = (
    "distortioncoefficients", "distortioncoeffs", "distcoeffs", "distcoeff", "distortion", "dist", "d",
)  # fmt: skip
_SIZE: Final = ("imagesize", "resolution", "size", "imgsize", "imageresolution")
_FISHEYE_MODELS: Final = ("equidistant", "fisheye", "kannalabrandt")
_PINHOLE_MODELS: Final = ("plumbbob", "rationalpolynomial", "radtan", "radialtangential", "brownconrady", "none", "")

_KALIBRS: Final = re.compile(r"cam\d+")
_COLMAP_LINE: Final = re.compile(
    r"^[ \t]*(\d+)[ \t]+([A-Z][A-Z_]+)[ \t]+(\d+)[ \t]+(\d+)((?:[ \t]+[-+.\deE]+)+)[ \t]*$", re.M
)
_COLMAP: Final[dict[str, tuple[str, bool]]] = {
    "SIMPLE_PINHOLE": ("f cx cy", False),
    "PINHOLE": ("fx fy cx cy", False),
    "SIMPLE_RADIAL": ("f cx cy k1", False),
    "RADIAL": ("f cx cy k1 k2", False),
    "OPENCV": ("fx fy cx cy k1 k2 p1 p2", False),
    "FULL_OPENCV": ("fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6", False),
    "OPENCV_FISHEYE": ("fx fy cx cy k1 k2 k3 k4", True),
    "SIMPLE_RADIAL_FISHEYE": ("f cx cy k1", True),
    "RADIAL_FISHEYE": ("f cx cy k1 k2", True),
}
"""COLMAP's camera models: the names of their numbers, and whether they are of a fisheye lens."""


class Lens(NamedTuple):
    """What a calibration says of a lens."""

    size: tuple[int, int] | None  # px; none where the file does not tell
    matrix: Array  # (3, 3)
    distortion: Array  # (N,)
    fisheye: bool


def lens_of_colmap(text: str, camera: str | None = None) -> Lens | None:
    """Return the camera in COLMAP's cameras.txt, or a line of it; None if the text has no such line.

    `camera` is the number of one of several.
    """
    lines = {number: rest for number, *rest in _COLMAP_LINE.findall(text)}
    if not lines:
        return None
    model, width, height, numbers = lines[_chosen(list(lines), camera, "COLMAP's")]
    if model not in _COLMAP:
        raise DocumentError(f"expected one of COLMAP's models {', '.join(_COLMAP)}, found {model}")
    names, fisheye = _COLMAP[model]
    values = _array("the numbers of a camera", numbers).tolist()
    size = _side(width), _side(height)
    if not all(size):
        raise DocumentError(f"expected the picture's width and height, found {width:.20} and {height:.20}")
    if len(values) != len(names.split()):
        raise DocumentError(f"expected {names} of COLMAP's {model}, found {len(values)} numbers")
    at = dict(zip(names.split(), values, strict=True))
    # COLMAP counts pixels from the corner of the first.
    matrix = _matrix_of(at.get("fx", at.get("f")), at.get("fy", at.get("f")), at["cx"] - 0.5, at["cy"] - 0.5)
    order = ("k1", "k2", "k3", "k4") if fisheye else ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
    distortion = [at.get(name, 0.0) for name in order]
    return Lens(size, matrix, np.array(distortion if fisheye or any(distortion) else []), fisheye)


def lens_of_tree(tree: Mapping[str, Any], camera: str | None = None) -> Lens:
    """Return the camera in a document of names and values; `camera` is the name of one of Kalibr's.

    Raises DocumentError.
    """
    cameras = {
        str(key): value for key, value in tree.items() if _KALIBRS.fullmatch(str(key)) and isinstance(value, dict)
    }
    if cameras or camera is not None:
        tree = cameras[_chosen(list(cameras), camera, "Kalibr's")]
    known = {re.sub("[^a-z0-9]", "", str(key).lower()): value for key, value in tree.items()}
    model = re.sub("[^a-z0-9]", "", str(known.get("distortionmodel") or "").lower())
    projection = re.sub("[^a-z0-9]", "", str(known.get("cameramodel") or "pinhole").lower())
    flagged = any(_side(known.get(flag)) for flag in ("fisheyemodel", "fisheye"))
    fisheye = flagged or model in _FISHEYE_MODELS or projection in _FISHEYE_MODELS
    if not fisheye and model not in _PINHOLE_MODELS:
        raise DocumentError(
            f"expected the distortion_model plumb_bob, rational_polynomial, radtan, equidistant or none, found {model}"
        )
    if projection != "pinhole" and not (fisheye and projection in _FISHEYE_MODELS):
        raise DocumentError(f"expected the camera_model pinhole or fisheye, found {known.get('cameramodel')}")
    distortion = np.zeros(0) if model == "none" else _first_array(known, _DISTORTION)
    return Lens(_size(known), _matrix(known), np.zeros(0) if distortion is None else distortion.reshape(-1), fisheye)


def _chosen(names: list[str], wanted: str | None, whose: str) -> str:
    """Return which of the cameras in a file is meant."""
    if wanted is not None:
        for name in (wanted, f"cam{wanted}"):
            if name in names:
                return name
        raise DocumentError(f"expected the camera {wanted}, found {', '.join(names) or 'no cameras with names'}")
    if len(names) > 1:
        raise DocumentError(
            f"expected one camera, found {len(names)} of {whose}: {', '.join(names)}; "
            "choose one with source.lens.calibrated_camera"
        )
    return names[0]


def _matrix(known: Mapping[str, Any]) -> Array:
    """Return the camera matrix, which is given as such or by the four numbers in it."""
    matrix = _first_array(known, _MATRIX)
    if matrix is not None:
        if matrix.size != 9:
            raise DocumentError(f"expected camera_matrix (3x3), found {'x'.join(map(str, matrix.shape))}")
        return matrix.reshape(3, 3)
    if "intrinsics" in known:
        four = _array("intrinsics", known["intrinsics"]).reshape(-1)
        if four.size != 4:
            raise DocumentError(f"expected intrinsics to be fu, fv, pu, pv, found {four.size} numbers")
        return _matrix_of(*four.tolist())
    if all(name in known for name in ("fx", "fy", "cx", "cy")):
        given = [_array(name, [known[name]]).ravel() for name in ("fx", "fy", "cx", "cy")]
        if any(number.size != 1 for number in given):
            raise DocumentError("expected fx, fy, cx and cy to be a number each, found others")
        return _matrix_of(*np.concatenate(given).tolist())
    raise DocumentError("expected camera_matrix (3x3), intrinsics (4), or fx, fy, cx and cy, found none of them")


def _matrix_of(fx: float | None, fy: float | None, cx: float, cy: float) -> Array:
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)


def _size(known: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return width and height, px; None if they are not told."""
    for name in _SIZE:
        if name in known:
            sides = [_side(side) for side in _array(name, known[name]).reshape(-1)]
            if len(sides) != 2 or not all(sides):
                raise DocumentError(f"expected {name} to be width and height, found {known[name]!r:.60}")
            return sides[0], sides[1]
    width, height = (_side(known.get(f"image{side}", known.get(side))) for side in ("width", "height"))
    if bool(width) != bool(height):
        raise DocumentError("expected image_width and image_height, found one of them")
    return (width, height) if width else None


def _first_array(known: Mapping[str, Any], names: tuple[str, ...]) -> Array | None:
    return next((_array(name, known[name]) for name in names if known.get(name) is not None), None)


def _array(name: str, node: Any) -> Array:
    """Return the numbers of a matrix as OpenCV and ROS write it, in rows, in one row, or in a text as in XML."""
    try:
        if isinstance(node, dict):
            sizes = _numbers(node["sizes"] if "sizes" in node else [node["rows"], node["cols"]])
            return _numbers(node["data"]).reshape([int(size) for size in sizes])
        return np.array(node, np.float64) if isinstance(node, list) else _numbers(node)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DocumentError(f"expected {name} to be numbers, as a matrix or a list, found another") from error


def _numbers(value: Any) -> Array:
    return np.array(value.split() if isinstance(value, str) else value, dtype=np.float64).reshape(-1)


def _side(value: Any) -> int:
    """Return a side's length, a whole number; 0 if there is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return int(number) if isfinite(number) and 0 <= number <= _LARGEST_SIDE else 0
