"""The breakdown measures each part of a batch alone, on the same device, with the inputs that it really has."""

import time
from functools import partial

import torch
from torch import Tensor

from hamba_core.network import Hamba
from pipeline.benchmarks.model.contestants import filled_slot, prepared
from stages.reconstruction.hamba import Stream, Work

_REPETITIONS = 10
"""In one graph, so that what is timed is the device's work and not its start."""


def measure_parts(size: int, rounds: int) -> dict[str, float]:
    """Return the seconds that each part takes for a batch of so many hands, in the fastest of some rounds."""
    contestant = prepared()
    device, network = contestant.device, contestant.network
    with torch.inference_mode():
        slot, cut, run = filled_slot(contestant, size)
        cut()
        run()
        parts_of = plain_parts if network.fused is None else fused_parts
        compute: dict[str, Work] = {"crop": cut, **parts_of(network, slot.crops)}
        if device.graphs:
            torch.cuda.synchronize(device.torch_device)  # inputs were made on another stream
            compute = {name: device.capture(partial(_repeat, work)) for name, work in compute.items()}
        copies: dict[str, tuple[Stream, Work]] = {
            "upload": ("upload", partial(slot.upload, len(slot.pictures.host), size)),
            "read-back": ("read-back", partial(slot.rows.read_back, size)),
        }

        def fastest(stream: Stream, work: Work) -> float:
            times = []
            for _ in range(rounds + 1):
                begin = time.perf_counter()
                device.run(stream, work).synchronize()
                times.append(time.perf_counter() - begin)
            return min(times[1:])

        repetitions = _REPETITIONS if device.graphs else 1
        parts = {name: fastest("compute", work) / repetitions for name, work in compute.items()}
        ends = {name: fastest(*copy) for name, copy in copies.items()}
    return {"upload": ends["upload"], **parts, "read-back": ends["read-back"]}


def plain_parts(network: Hamba, crops: Tensor) -> dict[str, Work]:
    """Return each part of the network as work on the inputs that it has for these crops."""
    maps = network.backbone(crops)
    features = network.downsample(maps)
    parameters = network.joint_regressor(features)
    posed = (parameters.rotations[:, 0], parameters.rotations[:, 1:], parameters.betas)
    joints_2d = torch.zeros(len(crops), 21, 2, device=crops.device)
    tokens, mean = network.token_sampler(features, joints_2d), features.mean((2, 3))
    return {
        "backbone": partial(network.backbone, crops),
        "down-sampling": partial(network.downsample, maps),
        "joint regressor": partial(network.joint_regressor, features),
        "token sampler": partial(network.token_sampler, features, joints_2d),
        "GSS head": partial(network.gss_head, tokens, mean, joints_2d),
        "hand model, once": partial(network.hand_layer, *posed),
    }


def fused_parts(network: Hamba, crops: Tensor) -> dict[str, Work]:
    """Return the same of a network with fused kernels."""
    fused = network.fused or network.fused_parts()
    fusions = fused.fusions
    rows = fused.backbone(crops, fusions)
    features = fused.downsample(rows)
    numbers = fused.joint_regressor(features, fusions)
    joints_2d = torch.zeros(len(crops), 21, 2, device=crops.device)
    tokens, global_token, mean = fused.tokens(features, joints_2d)
    return {
        "backbone": partial(fused.backbone, crops, fusions),
        "down-sampling": partial(fused.downsample, rows),
        "joint regressor": partial(fused.joint_regressor, features, fusions),
        "token sampler": partial(fused.tokens, features, joints_2d),
        "GSS head": partial(fused.gss_head, tokens, global_token, mean, joints_2d, fusions),
        "hand model, once": partial(fused.hand, numbers, fused=fusions.hands),
    }


def _repeat(work: Work) -> None:
    for _ in range(_REPETITIONS):
        work()
