"""Crops on disk: a shard is one file with the pictures and the truth of many seeds.

The file is an uncompressed NumPy archive (`.npz`). Its arrays are `CropTruth`'s fields with the number of crops in
front, `jpeg` with all pictures' bytes one after the other, `jpeg_ends` with where each ends, and `version` and
`settings` of what made it. A shard appears whole or not at all.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import OutputError, SourceError
from hamba_core.untrusted import DocumentError, load_arrays
from stages.synthetic.crops.generator import render_crop
from stages.synthetic.crops.settings import DATA_VERSION, CropSettings
from stages.synthetic.crops.truth import CropTruth, TrainingCrop

QUALITY = 95
"""Of the pictures' JPEG, whose colours are not subsampled: half of a level off in the median."""

Picture = NDArray[np.uint8]


class Shard:
    """The crops of one file, in memory: pictures still packed, truth as arrays with a crop a row."""

    def __init__(self, path: Path, arrays: dict[str, NDArray[Any]]) -> None:
        self.path, self.arrays = path, arrays
        self._starts = np.concatenate([[0], arrays["jpeg_ends"][:-1]])

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> TrainingCrop:
        values = {field.name: self.arrays[field.name][index] for field in fields(CropTruth)}
        for name, value in values.items():
            if value.dtype.kind in "iU" and value.ndim == 0:
                values[name] = value.item()
            elif value.dtype == np.float32:
                values[name] = value.astype(np.float64)
        return TrainingCrop(self.image(index), CropTruth(**values))

    def __iter__(self) -> Iterator[TrainingCrop]:
        return (self[index] for index in range(len(self)))

    def image(self, index: int) -> Picture:
        """Return the picture (size, size, 3), RGB, of a crop."""
        packed = self.arrays["jpeg"][self._starts[index] : self.arrays["jpeg_ends"][index]]
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()


def write_shard(path: Path, seeds: Sequence[int], settings: CropSettings | None = None) -> None:
    """Render the seeds' crops into a file. Raises OutputError."""
    settings = settings or CropSettings()
    pictures, truths = [], []
    for seed in seeds:
        crop = render_crop(seed, settings)
        pictures.append(_packed(crop.image))
        truths.append(crop.truth)
    arrays: dict[str, NDArray[Any]] = {}
    for field in fields(CropTruth):
        column = np.array([getattr(truth, field.name) for truth in truths])
        arrays[field.name] = column.astype(np.float32) if column.dtype == np.float64 else column
    arrays["jpeg"] = np.concatenate(pictures)
    arrays["jpeg_ends"] = np.cumsum([len(picture) for picture in pictures])
    arrays["version"], arrays["settings"] = np.array(DATA_VERSION), np.array(repr(settings))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")  # two processes may render the same shard
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: the shard cannot be written: {error}; give a folder with room in it") from error


def read_shard(path: Path, *, version: str = DATA_VERSION) -> Shard:
    """Return a shard of this version. Raises SourceError."""
    try:
        arrays = load_arrays(path)
        found = str(arrays["version"])
    except (OSError, DocumentError, KeyError) as error:
        raise SourceError(f"{path}: expected a shard of training crops, found none: {error}; render it anew") from error
    arrays.setdefault("mesh", np.full(len(arrays["seed"]), "generic"))  # the first shards knew no other
    if found != version:
        raise SourceError(f"{path}: expected crops of version {version}, found {found}; render them anew")
    return Shard(path, arrays)


def shard_path(folder: Path, first_seed: int) -> Path:
    """Return where the shard that starts with a seed lies."""
    return folder / f"crops_{first_seed:09d}.npz"


def fill_folder(
    folder: Path, first_seed: int, shards: int, crops_per_shard: int = 2000, settings: CropSettings | None = None
) -> Iterator[Path]:
    """Render the shards that a folder lacks, one after the other; gives each path, old or new. Raises OutputError.

    Whatever stopped it, the next call goes on with the shard that is missing first.
    """
    for number in range(shards):
        first = first_seed + number * crops_per_shard
        path = shard_path(folder, first)
        if not path.exists():
            write_shard(path, range(first, first + crops_per_shard), settings)
        yield path


def _packed(image: Picture) -> Picture:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                  cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]  # fmt: skip
    _, packed = cv2.imencode(".jpg", image[..., ::-1], parameters)
    return np.asarray(packed, np.uint8).ravel()
