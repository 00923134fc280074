"""A batch on the host's side: which crops go together, and the buffers that they travel in."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hamba_core.arrays import Float32Array
from hamba_core.network import CROP_SIZE
from hamba_core.view import Square
from stages.packets import Image
from stages.reconstruction.hamba.engine.device import Buffer, Device, Work

_MOST_PICTURE_BYTES: Final = 1 << 28
"""Pictures in a batch; a single larger one is taken nevertheless."""


Answer = Callable[[], Float32Array]
"""Waits for the rows (B, `row_width`) of what was begun. Called again it gives them again."""


class Crop(NamedTuple):
    """A hand to look at. The hands of one picture share the array."""

    picture: Image  # (H, W, 3)
    square: Square
    mirrored: bool


def in_batches(crops: Sequence[Crop], largest: int) -> Iterator[list[Crop]]:
    """Yield runs of at most `largest` crops, from pictures of one shape that together are not too large."""
    batch: list[Crop] = []
    pictures: set[int] = set()
    for crop in crops:
        known = id(crop.picture) in pictures
        full = not known and (len(pictures) + 1) * crop.picture.nbytes > _MOST_PICTURE_BYTES
        if batch and (len(batch) == largest or full or crop.picture.shape != batch[0].picture.shape):
            yield batch
            batch, pictures = [], set()
        batch.append(crop)
        pictures.add(id(crop.picture))
    if batch:
        yield batch


_NO_PICTURES: Final = Buffer(torch.empty(0), torch.empty(0))


class Slot:
    """The buffers of one batch, and what runs on them."""

    def __init__(self, device: Device, largest: int, width: int) -> None:
        self.pictures = _NO_PICTURES  # as many as came at once so far, of one shape
        self.places = device.buffer((largest, 5), torch.float32)  # the square's x, y, side; mirrored; which picture
        self.crops: Tensor = device.empty((largest, 3, CROP_SIZE, CROP_SIZE), torch.float32)
        self.rows = device.buffer((largest, width), torch.float32)
        self.networks: dict[int, Work] = {}  # by size
        self.cuts: dict[int, Work] = {}  # by size, for the shape of `pictures`
        self.wholes: dict[
            tuple[int, int], Work
        ] = {}  # the same with copies and network, by size and number of pictures
        self.pending: Pending | None = None

    def clear(self) -> None:
        """Set all numbers on the device, as work of a stream: a graph may be captured before a batch has come."""
        self.crops.zero_()
        self.places.device.zero_()
        self.places.device[:, 2] = 1  # a side

    def fill(self, device: Device, crops: Sequence[Crop]) -> int:
        """Write a batch of crops into the host's side, and return how many pictures it has."""
        pictures = {id(crop.picture): crop.picture for crop in crops}
        which = {key: number for number, key in enumerate(pictures)}
        shape = crops[0].picture.shape
        if self.pictures.host.shape[1:] != shape or len(self.pictures.host) < len(pictures):
            self.cuts.clear()
            self.wholes.clear()
            self.pictures = _NO_PICTURES  # gone before there are others
            self.pictures = device.buffer((len(pictures), *shape), torch.uint8)
        for place, picture in zip(self.pictures.host.numpy(), pictures.values(), strict=False):
            np.copyto(place, picture)
        places = self.places.host.numpy()
        for place, crop in zip(places, crops, strict=False):
            place[:] = *crop.square, crop.mirrored, which[id(crop.picture)]
        # The rest repeats the first hand, also beyond this batch's size: capturing a larger one reads them too.
        places[len(crops) :] = places[0]
        return len(pictures)

    def upload(self, pictures: int, size: int) -> None:
        """Copy what `fill` wrote to the device."""
        self.pictures.upload(pictures)
        self.places.upload(size)


class Pending:
    """The answer of one batch. Once it is here, the slot is free for the next."""

    def __init__(self, slot: Slot, count: int, wait: Callable[[], None]) -> None:
        self._slot, self._count, self._wait = slot, count, wait
        self._rows: Float32Array | None = None

    def __call__(self) -> Float32Array:
        if self._rows is None:
            self._wait()
            self._rows = self._slot.rows.host[: self._count].numpy().copy()
            self._slot.pending = None
        return self._rows
