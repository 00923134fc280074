"""What a released network says of training crops, for hamba-s to learn beside what is true (distillation).

Its parameters are MANO's and hamba-s' are the generic hand's, so that what is taught is where the joints are. Hinton,
Vinyals and Dean, "Distilling the knowledge in a neural network", 2015.
"""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from hamba_core.arrays import Float32Array
from hamba_core.errors import ConfigurationError, OutputError
from hamba_core.network import Hamba
from hamba_core.weights import find_checkpoint, load
from pipeline.training.data_sets import rendered_sample, shown
from stages.synthetic.crops import read_shard

_TOGETHER = 8


class Teacher:
    """A released network, loaded when it is first asked."""

    def __init__(self, release: Path, mano: Path | None, device: str = "cpu") -> None:
        """`release` is a folder or a checkpoint, `mano` the hand's file where it is not in there."""
        self._release, self._mano, self._device = release, mano, device
        self._network: Hamba | None = None
        self.name = _digest(release)
        """Sixteen hexadecimal digits that stand for it."""

    def joints_of(
        self, shard_file: Path, folder: Path, on_step: Callable[[str], None] = lambda step: None
    ) -> Float32Array:
        """Return the joints (N, 21, 3) of a shard's crops, m from the wrist in the crops' camera; kept in this folder.

        Raises WeightsError, HandModelError, SourceError, OutputError.
        """
        path = folder / f"{shard_file.stem}.taught-{self.name}.npy"
        if path.exists():
            kept: Float32Array = np.load(path, allow_pickle=False)
            return kept
        on_step(f"asking the teacher about {shard_file.name}")
        joints = self._teacher_joints(shard_file)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
                np.save(file, joints)
            Path(file.name).replace(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error}; give a folder with room in it") from error
        return joints

    @torch.inference_mode()
    def _teacher_joints(self, shard_file: Path) -> Float32Array:
        if self._network is None:
            self._network = load(self._release, self._mano, self._device)
        network, shard = self._network, read_shard(shard_file)
        answers = []
        for first in range(0, len(shard), _TOGETHER):
            rows = range(first, min(first + _TOGETHER, len(shard)))
            pictures = torch.stack([shown(rendered_sample(shard, row), network.configuration)[0] for row in rows])
            joints = network(pictures.to(self._device)).joints
            answers.append((joints - joints[:, :1]).float().cpu().numpy())
        return np.concatenate(answers)


def taught_views(
    features: Sequence[Path], shards: Sequence[Path], teacher: Teacher, folder: Path, on_step: Callable[[str], None]
) -> list[Float32Array]:
    """Return the teacher's joints (N, 21, 3) in the view of each look, for files of features beside their shards."""
    taught = []
    for look, shard_file in zip(features, shards, strict=True):
        joints = teacher.joints_of(shard_file, folder, on_step)
        with np.load(look, allow_pickle=False) as columns:
            in_view = columns["rotations"][:, 0]
        R_view_crop = in_view @ read_shard(shard_file).arrays["global_orient"].swapaxes(1, 2)
        taught.append((joints @ R_view_crop.swapaxes(1, 2)).astype(np.float32))
    return taught


def _digest(release: Path) -> str:
    """Return a digest of a checkpoint's content. Raises ConfigurationError."""
    path = find_checkpoint(release) if release.is_dir() else release
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ConfigurationError(f"teacher: expected a released checkpoint at {release}, found: {error}") from error
