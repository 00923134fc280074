"""A network that is quick and tells crops apart, for tests of what happens around it."""

from collections.abc import Callable, Iterator
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hamba_core.network import HambaOutput
from hamba_core.view import Square
from stages.packets import Image
from stages.reconstruction.hamba.engine.slots import Crop

VERTICES = 4


class QuickNetwork:
    """Numbers that depend on every part of a crop, and on no other crop of the batch."""

    hand = SimpleNamespace(v_template=np.zeros((VERTICES, 3)))
    configuration = SimpleNamespace(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, crops: Tensor) -> HambaOutput:
        self.batches.append(len(crops))
        means = torch.nn.functional.adaptive_avg_pool2d(crops, 8).flatten(1)  # (B, 192)
        camera = 0.5 + means[:, :3].sigmoid()  # in front of the camera
        shapes = ((3,), (3, 3), (15, 3, 3), (10,), (21, 3), (VERTICES, 3))
        translation, global_orient, hand_pose, betas, joints, vertices = (
            0.01 * (number + 1) * means[:, : prod(shape)].reshape(-1, *shape) for number, shape in enumerate(shapes)
        )
        return HambaOutput(camera, translation, global_orient, hand_pose, betas, joints, vertices, joints[..., :2])


MakeCrops = Callable[..., list[Crop]]


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Tensors are small here: several threads would wait for one another, and long where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def network() -> Any:
    """A quick one."""
    return QuickNetwork()


@pytest.fixture(scope="session")
def make_crops() -> MakeCrops:
    """make_crops(count, pictures, seed, size) -> random squares, dealt to so many pictures of random pixels."""

    def make(count: int, pictures: int = 1, seed: int = 0, size: tuple[int, int] = (24, 32)) -> list[Crop]:
        random = np.random.default_rng(seed)
        images: list[Image] = [random.integers(0, 256, (*size, 3), np.uint8) for _ in range(pictures)]
        for image in images:
            image.setflags(write=False)
        return [
            Crop(
                images[number * pictures // count],
                Square(*random.uniform((4, 4, 5), (size[1], size[0], 60)).tolist()),
                bool(random.integers(2)),
            )
            for number in range(count)
        ]

    return make
