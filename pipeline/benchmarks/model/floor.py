"""The floor is the time that no implementation of this network can beat on this machine.

Every weight is read once for a batch, at the bandwidth of the device's memory, and every multiplication is done once
for a hand, at the rate of its matrix units. The floor is the longer of these two times. Both rates are measured, by a
copy and by a product of large matrices.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from hamba_core.hand import load_generic_hand
from hamba_core.network import CROP_SIZE, JOINTS, Hamba, HambaConfiguration
from hamba_core.weights import tensor_dtypes, weights_of

_TRIALS = 5


class Floor(NamedTuple):
    """What the machine can do and what the network needs of it."""

    copied_bytes_per_s: float  # read and written
    flop_per_s: float  # in the dtype of the large matrix products
    weights_bytes: int
    flop_per_hand: int

    def seconds(self, hands: int) -> float:
        """Return the least seconds for a batch of so many hands."""
        return max(self.weights_bytes / self.copied_bytes_per_s, hands * self.flop_per_hand / self.flop_per_s)


def measure_floor(configuration: HambaConfiguration, device: torch.device, dtype: torch.dtype) -> Floor:
    """Measure the device; count what the network needs from its configuration."""
    large = device.type == "cuda"
    source = torch.ones(2**28 if large else 2**25, device=device)  # 1 GiB or 128 MiB
    target = torch.empty_like(source)
    copy_s = _fastest(lambda: target.copy_(source), device)
    side = 8192 if large else 1536
    matrix = torch.randn(side, side, device=device).to(dtype)
    product = torch.empty_like(matrix)
    product_s = _fastest(lambda: torch.mm(matrix, matrix, out=product), device)
    return Floor(
        copied_bytes_per_s=2 * source.nbytes / copy_s,
        flop_per_s=2 * side**3 / product_s,
        weights_bytes=weights_bytes(configuration, dtype),
        flop_per_hand=flop_per_hand(configuration),
    )


def weights_bytes(configuration: HambaConfiguration, dtype: torch.dtype) -> int:
    """Return the bytes of all weights, where the large matrix products have this dtype."""
    network = _laid_out(configuration)
    dtypes = tensor_dtypes(network, dtype)
    return sum(tensor.numel() * dtypes[name].itemsize for name, tensor in weights_of(network).items())


def flop_per_hand(configuration: HambaConfiguration) -> int:
    """Return the operations of matrix products, convolutions and attention; one multiply-add counts as two."""
    network = _laid_out(configuration).eval()
    with torch.device("meta"), torch.inference_mode(), FlopCounterMode(display=False) as counter:
        features = network.downsample(network.backbone(torch.empty(1, 3, CROP_SIZE, CROP_SIZE)))
        network.joint_regressor(features)
        joints_2d = torch.empty(1, JOINTS, 2)
        network.gss_head(network.token_sampler(features, joints_2d), features.mean((2, 3)), joints_2d)
    return int(counter.get_total_flops())


def _laid_out(configuration: HambaConfiguration) -> Hamba:
    with torch.device("meta"):
        return Hamba(configuration, load_generic_hand())


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the fastest of some trials, after one that does not count."""
    times = []
    for _ in range(_TRIALS + 1):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return min(times[1:])
