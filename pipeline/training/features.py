"""What hamba-s sees of training crops: computed once by the hand-landmark network and the landmark fit, kept on disk.

The network below is frozen, so that its maps are the same in every epoch; with them on disk an epoch costs the head
alone. A crop can be looked at in several *variants*: 0 is the crop as it is, the others are turned, scaled, shifted and
recoloured a little, as other first looks and other cameras would have them.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch

from hamba_core.arrays import AnyArray, Array
from hamba_core.errors import OutputError, SourceError
from hamba_core.hand import HandLayer, load_generic_hand
from hamba_core.network.small import sample_maps
from hamba_core.training import nearest_hands
from hamba_core.view import Intrinsics
from stages.detection import CROP_SIDE, HandNetwork
from stages.packets import Image
from stages.reconstruction.landmarks import SingleFit
from stages.reconstruction.small_hamba import CropView
from stages.synthetic.crops import Shard, read_shard

FEATURES_VERSION: Final = "features-2"
"""Changes whenever the same crop gives other features."""

Table = dict[str, AnyArray]

_TOGETHER = 16  # crops that are looked at at once
_TURN, _SCALE, _SHIFT = 0.12, 0.08, 0.03  # radians, of the logarithm, of the crop's side
_GAIN, _BIAS, _NOISE = 0.18, 10.0, 4.0  # of the logarithm of each channel, levels, levels


def features_of(shard_file: Path, folder: Path, variant: int = 0) -> Path:
    """Return the file with the features of a shard's crops, made in this folder if it is not there.

    Raises SourceError, OutputError.
    """
    path = folder / f"{shard_file.stem}.{FEATURES_VERSION}.{variant}.npz"
    if path.exists():
        return path
    table = compute_features(read_shard(shard_file), variant)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
            np.savez(file, **table)  # type: ignore[arg-type]
        Path(file.name).replace(path)
    except OSError as error:
        raise OutputError(f"{path}: features cannot be written: {error}; give a folder with room in it") from error
    return path


def compute_features(shard: Shard, variant: int = 0) -> Table:
    """Return a row a crop: the head's input and the truth, in the crop's view (`hamba_core.network.small.views`)."""
    network, fit, truth = HandNetwork(), SingleFit(load_generic_hand()), _learned(shard)
    parts: list[Table] = []
    for first in range(0, len(shard), _TOGETHER):
        indices = range(first, min(first + _TOGETHER, len(shard)))
        parts.append(_features(shard, indices, variant, network, fit, truth))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _learned(shard: Shard) -> Table:
    """Return the truth of a shard's crops; for another mesh, that of the generic hand nearest to the one drawn."""
    truth = dict(shard.arrays)
    others = np.flatnonzero(truth["mesh"] != "generic")
    if not len(others):
        return truth
    layer = HandLayer(load_generic_hand())
    layer.keep_vertices([])
    rotations = np.concatenate([truth["global_orient"][:, None], truth["hand_pose"]], 1)
    given = (torch.from_numpy(each[others]).float() for each in (truth["joints"], rotations, truth["betas"]))
    nearest = nearest_hands(layer, *given)
    for name, found in (
        ("global_orient", nearest.rotations[:, 0]),
        ("hand_pose", nearest.rotations[:, 1:]),
        ("betas", nearest.betas),
        ("joints", nearest.joints),
    ):
        truth[name] = truth[name].copy()
        truth[name][others] = found.numpy()
    return truth


def _features(
    shard: Shard, indices: Sequence[int], variant: int, network: HandNetwork, fit: SingleFit, truth: Table
) -> Table:
    images, views = [], []
    for index in indices:
        A, image = np.eye(2, 3), shard.image(index)
        if variant:
            A, image = _varied(image, np.random.default_rng([int(truth["seed"][index]), variant]))
        images.append(image)
        views.append(CropView.of(A, Intrinsics(*truth["camera"][index].tolist()), CROP_SIDE))
    look = network.look(np.stack(images), maps=True)
    rays = np.stack([v.rays(seen) for v, seen in zip(views, look.landmarks[..., :2].astype(np.float64), strict=True)])
    hands = fit.to_landmarks(rays, look.world.astype(np.float64))
    focal = np.array([view.focal_length for view in views])
    maps = look.maps
    if maps is None:
        raise SourceError("hand network: expected maps, found none; ask for them")
    half = CROP_SIDE / 2
    places = torch.from_numpy(look.landmarks[..., :2] / half - 1)
    tokens = sample_maps([torch.from_numpy(each) for each in (maps.fine, maps.middle, maps.coarse)], places)
    chosen = list(indices)
    turned = np.stack([view.R_view_hand for view in views])
    orient = turned @ truth["global_orient"][chosen].astype(np.float64)
    wrist = np.stack(
        [v.from_camera(j) for v, j in zip(views, truth["joints"][chosen, 0].astype(np.float64), strict=True)]
    )
    table: Table = {
        "tokens": tokens.numpy().astype(np.float16),
        "pooled": maps.pooled.astype(np.float16),
        "coarse": maps.coarse.astype(np.float16),
        "landmarks": np.concatenate([rays * focal[:, None, None], look.landmarks[..., 2:] / half], -1),
        "world": look.world,
        "focal_length": focal,
        "first_rotations": hands.rotations,
        "first_betas": hands.betas,
        "first_wrist": hands.wrist,
        "presence": look.presence,
        "first_error": hands.ray_error,
        "rotations": np.concatenate([orient[:, None], truth["hand_pose"][chosen]], 1),
        "betas": truth["betas"][chosen],
        "wrist": wrist,
        "visible": (truth["sight"][chosen] == 0).mean(1),
        "crop": truth["seed"][chosen],
    }
    kept = (np.dtype(np.float16), np.dtype(np.int64))
    return {name: column if column.dtype in kept else column.astype(np.float32) for name, column in table.items()}


def _varied(image: Image, rng: np.random.Generator) -> tuple[Array, Image]:
    """Another look at a crop: the matrix (2, 3) from its pixels to the new one's, and the new one."""
    turn, scale = rng.normal(0, _TURN), np.exp(rng.normal(0, _SCALE))
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    linear, half = np.array([[c, s], [-s, c]]), CROP_SIDE / 2
    shift = np.full(2, half) + rng.normal(0, _SHIFT, 2) * CROP_SIDE - linear @ np.full(2, half)
    A = np.concatenate([linear, shift[:, None]], 1)
    to_pixels = A.copy()
    to_pixels[:, 2] += A[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV's pixels have their origin in the first one's centre
    size = (CROP_SIDE, CROP_SIDE)
    moved = cv2.warpAffine(image, to_pixels, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    coloured = moved * np.exp(rng.normal(0, _GAIN, 3)) + rng.normal(0, _BIAS)
    coloured += rng.normal(0, rng.uniform(0, _NOISE), coloured.shape)
    return A, np.clip(coloured + 0.5, 0, 255).astype(np.uint8)
