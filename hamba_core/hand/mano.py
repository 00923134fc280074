"""Read the user's own MANO file: `MANO_RIGHT.pkl`, an `.npz` with its keys, a folder, or the archive it comes in.

Romero, Tzionas and Black, "Embodied Hands", SIGGRAPH Asia 2017. The pickle is Python 2's, and some of its arrays are
wrapped in classes of chumpy, a package that no longer imports. It is read by `hamba_core.untrusted`, with nothing of it
executed: only arrays are made, and whatever else a pickle may name is refused.
"""

import contextlib
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from hamba_core.errors import HandModelError
from hamba_core.hand.anatomy import default_joint_limits, flexion_axes, thumb_before_palm
from hamba_core.hand.hand_model import HandModel
from hamba_core.hand.skeleton import JOINTS_FROM_MODEL, MODEL_PARENTS
from hamba_core.untrusted import (
    ARCHIVE_ERRORS,
    DocumentError,
    NotArraysError,
    read_npz,
    read_pickled_arrays,
    unpack_entry,
)

TIPS: Final = (744, 320, 443, 554, 671)
"""Vertices of MANO's mesh at the tips of thumb, index, middle, ring and little finger."""

_VERTICES, _FACES = 778, 1538
_SHAPES: Final[Mapping[str, tuple[int, ...]]] = {
    "v_template": (_VERTICES, 3),
    "shapedirs": (_VERTICES, 3, 10),
    "posedirs": (_VERTICES, 3, 135),
    "J_regressor": (16, _VERTICES),
    "kintree_table": (2, 16),
    "weights": (_VERTICES, 16),
    "f": (_FACES, 3),
}
_FILE_NAME = "MANO_RIGHT.pkl"
_SMALLEST, _LARGEST = 0.05, 1.0  # m; MANO's hand spans about 0.2
_PLANE = 0.1  # shares of the palm; the generic hand's thumb stands 0.4 before it
_LARGEST_FILE = 64 * 1024 * 1024
_LARGEST_ARRAY = 8 * 1024 * 1024  # bytes; posedirs has 2.5 MB
_ADVICE = "get MANO_RIGHT.pkl from https://mano.is.tue.mpg.de (docs/model.md)"

Arrays = dict[str, NDArray[Any]]


def read_mano(path: Path) -> HandModel:
    """Return the right hand in this file, folder or archive. Raises HandModelError.

    What was read from a pickle is kept as `.npz` in the user's cache folder, under the pickle's hash.
    """
    if path.is_dir():
        path = _find(path)
    data = mano_pickle(path)
    if path.suffix == ".npz":
        return hand_of(_read_npz(path, data), path)
    cached = user_cache_path("hamba-stream") / f"mano-{hashlib.sha256(data).hexdigest()[:32]}.npz"
    with contextlib.suppress(OSError, HandModelError):
        return hand_of(_read_npz(cached, cached.read_bytes()), cached)
    arrays = _read_pickle(path, data)
    hand = hand_of(arrays, path)
    with contextlib.suppress(OSError):  # without a cache the pickle is read again, which takes a moment longer
        _write_npz(cached, arrays)
    return hand


def mano_pickle(path: Path) -> bytes:
    """Return what MANO_RIGHT.pkl holds, given it, its folder or its archive. Raises HandModelError."""
    if path.is_dir():
        path = _find(path)
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST_FILE * 4 else b""
    except OSError as error:
        raise HandModelError(f"{path}: expected a MANO file, found: {error.strerror}; {_ADVICE}") from error
    if path.suffix == ".zip":
        data = _unzip(path, data)
    if not 0 < len(data) <= _LARGEST_FILE:
        raise HandModelError(f"{path}: expected a MANO file of a few MB, found {len(data)} bytes; {_ADVICE}")
    return data


def _find(folder: Path) -> Path:
    """Return the right hand's file in a folder, directly or where the archive has it when unpacked."""
    inside = (".", "models", "mano", "mano_v1_2/models", "data/mano")
    candidates = [folder / place / name for place in inside for name in (_FILE_NAME, "MANO_RIGHT.npz")]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise HandModelError(
            f"{folder}: expected {_FILE_NAME} in it, or in {', '.join(inside[1:])}; found neither; {_ADVICE}"
        )
    return found


def _unzip(path: Path, data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [name for name in archive.namelist() if Path(name).name == _FILE_NAME]
            if not entries:
                raise HandModelError(f"{path}: expected {_FILE_NAME} in the archive, found none; {_ADVICE}")
            return unpack_entry(archive, entries[0], _LARGEST_FILE)
    except ARCHIVE_ERRORS as error:
        raise HandModelError(f"{path}: expected MANO's archive, found: {error}; download it again") from error


def _read_npz(path: Path, data: bytes) -> Arrays:
    try:
        return read_npz(data, tuple(_SHAPES), _LARGEST_ARRAY)
    except DocumentError as error:
        raise HandModelError(f"{path}: expected arrays with MANO's names in .npz: {error}; {_ADVICE}") from error


def _write_npz(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
        try:
            np.savez(file, allow_pickle=False, **arrays)
            file.close()
            Path(file.name).replace(path)  # at once: a reader sees the whole file or none
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(file.name).unlink()


def hand_of(arrays: Mapping[str, Any], path: Path) -> HandModel:
    """Return the right hand that these arrays of MANO's names are; `path` is named in errors. Raises HandModelError."""
    if missing := [name for name in _SHAPES if name not in arrays]:
        raise HandModelError(f"{path}: expected MANO's arrays, found no {', '.join(missing)}; {_ADVICE}")
    for name, shape in _SHAPES.items():
        array = arrays[name]
        if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype.kind not in "fiu":
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise HandModelError(f"{path}: expected {name} to be numbers {shape}, found {found}; {_ADVICE}")
    parents = arrays["kintree_table"][0].astype(np.int64)[1:]
    if parents.tolist() != list(MODEL_PARENTS[1:]):
        raise HandModelError(
            f"{path}: expected MANO's joint tree {MODEL_PARENTS[1:]}, found {parents.tolist()}; {_ADVICE}"
        )
    v_template, shapedirs, posedirs, regressor, weights = (
        np.ascontiguousarray(arrays[name], np.float64)
        for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")
    )
    for name, rows in (("weights", weights), ("J_regressor", regressor)):
        if not np.allclose(rows.sum(1), 1, atol=1e-3):
            raise HandModelError(f"{path}: expected each row of {name} to sum to 1, found another sum; {_ADVICE}")
    rest = np.concatenate([regressor @ v_template, v_template[list(TIPS)]])[list(JOINTS_FROM_MODEL)]
    hand = HandModel(
        name="mano",
        v_template=v_template,
        shapedirs=shapedirs,
        posedirs=posedirs,
        j_regressor=regressor,
        weights=weights,
        faces=arrays["f"].astype(np.int64),
        tips=np.array(TIPS),
        flexion_axes=flexion_axes(rest),
        joint_limits=default_joint_limits(),
    )
    _check_size_and_side(v_template, rest, path)
    return hand


def _check_size_and_side(v_template: NDArray[np.float64], rest: NDArray[np.float64], path: Path) -> None:
    size = float(np.ptp(v_template, axis=0).max())
    if not _SMALLEST <= size <= _LARGEST:
        raise HandModelError(
            f"{path}: expected a hand of about 0.2 m, found v_template to span {size:.3g} m; is it in another unit? "
            "Scale v_template, shapedirs and posedirs to metres"
        )
    thumb = thumb_before_palm(rest)
    # Where the thumb lies in the palm's plane, the shape does not tell, and the name may.
    if thumb < -_PLANE or (thumb < _PLANE and "left" in path.name.lower()):
        raise HandModelError(
            f"{path}: expected the right hand, of which left ones are made as its mirror image, found a left hand; "
            f"give {_FILE_NAME}, which stands beside it"
        )


def arrays_of(hand: HandModel) -> Arrays:
    """Return the arrays of a hand under MANO's names, the inverse of `hand_of`."""
    return {
        "v_template": hand.v_template,
        "shapedirs": hand.shapedirs,
        "posedirs": hand.posedirs,
        "J_regressor": hand.j_regressor,
        "kintree_table": np.array([MODEL_PARENTS, range(16)], np.int64),
        "weights": hand.weights,
        "f": hand.faces,
    }


def _read_pickle(path: Path, data: bytes) -> Arrays:
    try:
        return read_pickled_arrays(data, tuple(_SHAPES))
    except NotArraysError as error:
        raise HandModelError(f"{path}: expected a pickle like MANO_RIGHT.pkl: {error}; {_ADVICE}") from error
