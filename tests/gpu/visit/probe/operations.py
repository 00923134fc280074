"""Sections of the probe about single operations: what the smallest kernel costs, products, attention, scans."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from tests.gpu.visit.probe.options import CUDA, DEVICE
from tests.gpu.visit.probe.sections import seconds_left
from tests.gpu.visit.probe.timing import quantiles, tried, us

LAYERS = 32 if CUDA else 2
WIDTH, HIDDEN = (1280, 5120) if CUDA else (64, 256)
HALF = torch.bfloat16


def weights(outputs: int, inputs: int) -> list[torch.Tensor]:
    return [torch.randn(outputs, inputs, device=DEVICE).mul_(inputs**-0.5).to(HALF) for _ in range(LAYERS)]


def floors() -> Any:
    """A chain of the smallest kernels, copies, and an empty way through the three streams."""
    one = torch.zeros(1, device=DEVICE)
    million = torch.zeros(384, 1280, device=DEVICE)
    found: dict[str, Any] = {
        "tiny_kernel": us(lambda: [one.add_(1) for _ in range(500)], 500),
        "add_384x1280_f32": us(lambda: [million.add_(1) for _ in range(200)], 200),
    }
    if not CUDA:
        return found
    from stages.reconstruction.hamba import Cuda

    device = Cuda(DEVICE, spin=True)
    picture, rows = device.buffer((480, 640, 3), torch.uint8), device.buffer((2, 2554), torch.float32)

    def through(work: Callable[[], object]) -> list[float]:
        times = []
        for _ in range(300):
            begin = time.perf_counter()
            work()
            times.append(time.perf_counter() - begin)
        return times[50:]

    def three_streams() -> None:
        uploaded = device.run("upload", partial(picture.upload, 480))
        computed = device.run("compute", lambda: None, uploaded)
        device.run("read-back", partial(rows.read_back, 2), computed).synchronize()

    def one_stream() -> None:
        def all_of_it() -> None:
            picture.upload(480)
            rows.read_back(2)

        device.run("compute", all_of_it).synchronize()

    found["three_streams"], found["one_stream"] = quantiles(through(three_streams)), quantiles(through(one_stream))
    found["upload"] = quantiles(through(lambda: device.run("upload", partial(picture.upload, 480)).synchronize()))
    found["read_back"] = quantiles(through(lambda: device.run("read-back", partial(rows.read_back, 2)).synchronize()))
    return found


def products() -> Any:
    """us a layer of the backbone's products, every layer with weights of its own, so that they come from memory."""
    shapes = {"qkv": (3 * WIDTH, WIDTH), "proj": (WIDTH, WIDTH), "fc1": (HIDDEN, WIDTH), "fc2": (WIDTH, HIDDEN)}
    made = {name: weights(*shape) for name, shape in shapes.items()}
    biases = {name: torch.zeros(shape[0], device=DEVICE, dtype=HALF) for name, shape in shapes.items()}
    found: dict[Any, Any] = {}
    for rows in (192, 384, 768, 6144):
        inputs = {name: torch.randn(rows, shape[1], device=DEVICE, dtype=HALF) for name, shape in shapes.items()}
        residual = torch.randn(rows, WIDTH, device=DEVICE)
        of = found[rows] = {}
        for name, matrices in made.items():
            x, bias = inputs[name], biases[name]
            of[name] = tried(lambda: us(lambda: [torch.addmm(bias, x, w.t()) for w in matrices], LAYERS))
        x, bias = inputs["fc1"], biases["fc1"]
        of["fc1, gelu in it (tanh)"] = tried(
            lambda: us(lambda: [torch._addmm_activation(bias, x, w.t(), use_gelu=True) for w in made["fc1"]], LAYERS)
        )
        for name in ("proj", "fc2"):
            of[f"{name}, onto a float32 residual"] = tried(
                lambda: us(
                    lambda: [torch.addmm(residual, inputs[name], w.t(), out_dtype=torch.float32) for w in made[name]],
                    LAYERS,
                )
            )
        if CUDA:
            scale = torch.ones((), device=DEVICE)
            for name, matrices in made.items():
                x8 = inputs[name].to(torch.float8_e4m3fn)

                def in_float8() -> float:
                    eights = [w.to(torch.float8_e4m3fn) for w in matrices]
                    return us(
                        lambda: [
                            torch._scaled_mm(
                                x8, w.t(), scale, scale, bias=biases[name], out_dtype=HALF, use_fast_accum=True
                            )
                            for w in eights
                        ],
                        LAYERS,
                    )

                of[f"{name}, float8"] = tried(in_float8)
    return found


def split() -> Any:
    """us a layer of proj and fc2 onto a float32 residual, by our kernel that splits the sum, by tile and splits."""
    from hamba_core.network.fused import products as module

    if not CUDA:
        return "needs CUDA"
    found: dict[Any, Any] = {}
    kept = module._TILE, module._SPLITS
    for name, (outputs, inputs) in {"proj": (WIDTH, WIDTH), "fc2": (WIDTH, HIDDEN)}.items():
        matrices = weights(outputs, inputs)
        rows, residual = torch.randn(384, inputs, device=DEVICE).to(HALF), torch.randn(384, outputs, device=DEVICE)
        for tile in ((64, 64, 64), (64, 128, 64), (128, 128, 64), (128, 64, 128)):
            for splits in (1, 2, 4, 8):
                module._TILE, module._SPLITS = tile, splits

                def all_layers() -> None:
                    for matrix in matrices:
                        module.add_product(residual, rows, matrix, fused=True, split=True)

                found[f"{name} {tile} / {splits}"] = tried(lambda: us(all_layers, LAYERS))
    module._TILE, module._SPLITS = kept
    return found


def attention() -> Any:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    found: dict[Any, Any] = {}
    for hands in (1, 2, 32):
        qkv = torch.randn(hands, 192, 3, 16, WIDTH // 16, device=DEVICE, dtype=HALF).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        for backend in (None, SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION):

            def measured() -> float:
                if backend is None:
                    return us(lambda: [scaled_dot_product_attention(q, k, v) for _ in range(32)], 32)
                with sdpa_kernel(backend):
                    return us(lambda: [scaled_dot_product_attention(q, k, v) for _ in range(32)], 32)

            found[f"{hands} {backend.name if backend else 'as chosen'}"] = tried(measured)
    return found


def small_ones() -> Any:
    """us of what surrounds the products, for two hands."""
    from torch.nn import functional

    x, half = torch.randn(384, WIDTH, device=DEVICE), torch.randn(384, WIDTH, device=DEVICE, dtype=HALF)
    hidden = torch.randn(384, HIDDEN, device=DEVICE, dtype=HALF)
    ones, zeros = torch.ones(WIDTH, device=DEVICE), torch.zeros(WIDTH, device=DEVICE)
    n = range(100)
    inner = torch.randn(2, 1024, 16, 12, device=DEVICE, dtype=HALF).to(memory_format=torch.channels_last)
    taps = torch.randn(1024, 1, 3, 3, device=DEVICE, dtype=HALF)
    taps_last = taps.to(memory_format=torch.channels_last)
    features, x_proj = torch.randn(384, 1024, device=DEVICE), torch.randn(136, 1024, device=DEVICE)
    dt, dt_proj = torch.randn(4, 384, 32, device=DEVICE), torch.randn(4, 1024, 32, device=DEVICE)
    graph_x, graph_w = (
        torch.randn(42, 2, 512, device=DEVICE, dtype=HALF),
        torch.randn(42, 512, 512, device=DEVICE, dtype=HALF),
    )
    crops = torch.randn(2, 3, 256, 192, device=DEVICE, dtype=HALF)
    patch = torch.randn(WIDTH, 3, 16, 16, device=DEVICE, dtype=HALF)
    narrow = torch.randn(44, 1024, device=DEVICE)
    measured = {
        "layer_norm f32": lambda: [functional.layer_norm(x, (WIDTH,), ones, zeros) for _ in n],
        "layer_norm f32, cast": lambda: [functional.layer_norm(x, (WIDTH,), ones, zeros).to(HALF) for _ in n],
        "gelu": lambda: [functional.gelu(hidden) for _ in n],
        "residual f32 + bf16": lambda: [x + half for _ in n],
        "depthwise, cuDNN": lambda: [functional.conv2d(inner, taps, padding=1, groups=1024) for _ in n],
        "depthwise, taps channels last": lambda: [
            functional.conv2d(inner, taps_last, padding=1, groups=1024) for _ in n
        ],
        "silu": lambda: [functional.silu(inner) for _ in n],
        "x_proj f32": lambda: [features @ x_proj.t() for _ in n],
        "x_proj bf16 to f32": lambda: [
            torch.mm(features.to(HALF), x_proj.to(HALF).t(), out_dtype=torch.float32) for _ in n
        ],
        "dt_proj f32": lambda: [dt @ dt_proj.mT for _ in n],
        "x_proj f32 of 44 tokens": lambda: [narrow @ x_proj.t() for _ in n],
        "graph's 42 products": lambda: [torch.bmm(graph_x, graph_w) for _ in n],
        "patch embedding, cuDNN": lambda: [functional.conv2d(crops, patch, stride=16, padding=2) for _ in n],
        "patch embedding, unfold and product": lambda: [
            functional.unfold(crops, 16, padding=2, stride=16).mT @ patch.flatten(1).t() for _ in n
        ],
    }
    found = {name: tried(lambda: us(work, len(n))) for name, work in measured.items()}
    if CUDA:
        matmul = torch.backends.cuda.matmul
        before, matmul.fp32_precision = matmul.fp32_precision, "tf32"
        found["x_proj tf32"] = tried(lambda: us(measured["x_proj f32"], len(n)))
        matmul.fp32_precision = before
    return found


def scan() -> Any:
    """Our kernel for two hands and for 32, on the map and on the column, and by warps and channels; steps inside it."""
    from hamba_core.network import DecoderConfiguration
    from hamba_core.network.state_space.blocks import SS2D

    if not CUDA:
        return "needs CUDA"
    block = SS2D(DecoderConfiguration(depths=(1,))).requires_grad_(False)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    block.to(DEVICE)
    found = {}
    for shape in ((2, 16, 12), (32, 16, 12), (2, 22, 1), (32, 22, 1)):
        x = torch.randn(*shape, 1024, device=DEVICE)
        found[f"fused_scans {shape}"] = us(lambda: [block.fused_scans(x) for _ in range(10)], 10)
    from hamba_core.network.fused.scanning import fused_scans_and_steps
    from hamba_core.network.state_space import cross_scan as module

    kept = module._WARPS, module._CHANNELS
    A, D = block.decay_rates(), block.Ds.view(4, -1)
    for warps in (4, 8):
        for channels in (8, 16):
            module._WARPS, module._CHANNELS = warps, channels
            for shape in ((2, 16, 12), (2, 22, 1)):
                x = torch.randn(*shape, 1024, device=DEVICE)
                features = torch.randn(shape[0], shape[1] * shape[2], 4, 34, device=DEVICE)

                def with_steps() -> None:
                    for _ in range(10):
                        fused_scans_and_steps(x, features, block.dt_projs_weight, block.dt_projs_bias, A, D)

                name = f"{shape} warps {warps} channels {channels}"
                found[name] = tried(lambda: us(lambda: [block.fused_scans(x) for _ in range(10)], 10))
                found[f"{name}, steps in it, without x_proj"] = tried(lambda: us(with_steps, 10))
    module._WARPS, module._CHANNELS = kept
    return found


def tuned() -> Any:
    """us a layer of proj and fc2 for two hands as Inductor's max-autotune makes them, beside torch's own choice."""
    if not CUDA:
        return "needs CUDA"
    found: dict[Any, Any] = {}
    for name, (outputs, inputs) in {"proj": (WIDTH, WIDTH), "fc2": (WIDTH, HIDDEN)}.items():
        if seconds_left() < 30:
            return found
        matrices = weights(outputs, inputs)
        rows = torch.randn(384, inputs, device=DEVICE).to(HALF)
        product = torch.compile(torch.mm, mode="max-autotune-no-cudagraphs", dynamic=False)
        found[name] = tried(lambda: us(lambda: [product(rows, w.t()) for w in matrices], LAYERS))
        found[f"{name}, as it is"] = tried(lambda: us(lambda: [torch.mm(rows, w.t()) for w in matrices], LAYERS))
    return found
