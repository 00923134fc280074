"""Hands of a mixture as a network of the released size is given them: a crop and what is true in it."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hamba_core.network import HambaConfiguration
from hamba_core.training import (
    Augmentation,
    CropChange,
    CropTruths,
    crop_matrix,
    cut_turned,
    draw_change,
    truth_in_crop,
)
from pipeline.training.data_sets.hand_data import HandSample
from pipeline.training.data_sets.mixture import Mixture

_LEVELS = 255.0


class MixedHands(Dataset[tuple[Tensor, CropTruths]]):
    """The hands of a mixture by their number, without end: a normalised crop (3, 256, 256) and its truth."""

    def __init__(self, mixture: Mixture, configuration: HambaConfiguration, augmentation: Augmentation) -> None:
        self._mixture, self._configuration, self._augmentation = mixture, configuration, augmentation

    def __getitem__(self, number: int) -> tuple[Tensor, CropTruths]:
        sample, random = self._mixture.draw(number)
        return shown(sample, self._configuration, draw_change(self._augmentation, random))

    def batches(self, numbers: Sequence[Sequence[int]], workers: int = 0) -> Iterator[tuple[Tensor, CropTruths]]:
        """Give a batch for each list of numbers, in order, made by so many processes beside this one."""
        sampler: Sampler[list[int]] = _Batches(numbers)
        return iter(DataLoader(self, batch_sampler=sampler, num_workers=workers))


def shown(
    sample: HandSample,
    configuration: HambaConfiguration,
    change: CropChange = CropChange(),  # noqa: B008 - it is immutable
) -> tuple[Tensor, CropTruths]:
    """Return a hand's crop, changed, mirrored if it is a left one, and normalised; and what is true in it."""
    T_crop_picture = crop_matrix(sample.truth.box(), sample.truth.side, change)
    picture = torch.from_numpy(sample.image).permute(2, 0, 1)
    crop = cut_turned(picture, T_crop_picture, change.gains) / _LEVELS
    mean, std = (torch.tensor(values)[:, None, None] for values in (configuration.mean, configuration.std))
    return (crop - mean) / std, truth_in_crop(sample.truth, T_crop_picture)


class _Batches(Sampler[list[int]]):
    def __init__(self, numbers: Sequence[Sequence[int]]) -> None:
        self._numbers = numbers

    def __iter__(self) -> Iterator[list[int]]:
        return (list(of_batch) for of_batch in self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)
