"""Engines that tests look into: opened on a device, and compared with one hand after the other on a processor."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hamba_core.arrays import Float32Array
from stages.reconstruction.hamba.engine.device import Cpu
from stages.reconstruction.hamba.engine.engine import DeviceEngine
from stages.reconstruction.hamba.engine.slots import Crop
from tests.stages.reconstruction.hamba.conftest import MakeCrops, QuickNetwork
from tests.stages.reconstruction.hamba.simulated import Simulated

SIZES = (1, 2, 4, 8)


def opened(
    device: Any, sizes: Sequence[int] = SIZES, slots: int = 2, network: Any = None, *, together: bool = False
) -> DeviceEngine:
    network = network or QuickNetwork()
    engine = DeviceEngine(network, device, sizes, slots, together=together)
    engine.open()
    if isinstance(device, Simulated):
        device.log.clear()
    return engine


def ready(device: Simulated, make_crops: MakeCrops) -> DeviceEngine:
    """An engine that has captured all that it will capture for pictures as `make_crops` makes them."""
    engine = opened(device)
    for _ in range(engine.in_flight):
        engine.begin(make_crops(8, pictures=8))()
    device.log.clear()
    device.waited_for.clear()
    return engine


def one_by_one(crops: Sequence[Crop]) -> Float32Array:
    """What the processor makes of them, each alone."""
    engine = opened(Cpu(), sizes=(1,), slots=1)
    return engine.begin(crops)()


def assert_same(rows: Float32Array, crops: Sequence[Crop]) -> None:
    np.testing.assert_allclose(rows, one_by_one(crops), rtol=1e-4, atol=1e-4)
