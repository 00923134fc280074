"""Equal to the released network: every array within 1e-4 of its largest value in float32, 2 mm in bfloat16."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hamba_core
from hamba_core.network import Hamba, HambaOutput
from hamba_core.network.fast.packing import can_pack

PARITY_RELEASE = Callable[[str], Path]
TOLERANCE = 1e-4  # of the largest absolute value of an array
FIELDS = {
    "pred_cam": "camera",
    "pred_cam_t": "translation",
    "pred_mano_params.global_orient": "global_orient",
    "pred_mano_params.hand_pose": "hand_pose",
    "pred_mano_params.betas": "betas",
    "pred_keypoints_3d": "joints",
    "pred_vertices": "vertices",
    "pred_keypoints_2d": "joints_2d",
}


def answers(network: Hamba, crops: Tensor) -> dict[str, np.ndarray[Any, Any]]:
    """Everything that the reference answered, by its names."""
    stages: dict[str, Tensor] = {}

    def keep(name: str, change: Callable[[Tensor], Tensor] = lambda x: x) -> Callable[..., None]:
        def hook(module: torch.nn.Module, inputs: object, output: Tensor) -> None:
            stages[f"stage.{name}"] = change(output)

        return hook

    hooks = [
        network.backbone.register_forward_hook(keep("backbone")),
        network.downsample.register_forward_hook(keep("downsample")),
        network.joint_regressor.decoder.register_forward_hook(keep("joint_regressor", lambda x: x.permute(0, 3, 1, 2))),
        network.token_sampler.register_forward_hook(keep("token_sampler")),
        network.gss_head.decoder.register_forward_hook(keep("gss_head", lambda x: x.mT[..., None])),
    ]
    with torch.inference_mode():
        output = network(crops)
    for hook in hooks:
        hook.remove()
    assert output.initial is not None
    named = {**by_name(output, ""), **by_name(output.initial, "output_init_regression."), **stages}
    return {name: tensor.float().cpu().numpy() for name, tensor in named.items()}


def by_name(output: HambaOutput, prefix: str) -> dict[str, Tensor]:
    fields = {prefix + theirs: getattr(output, ours) for theirs, ours in FIELDS.items()}
    orient = f"{prefix}pred_mano_params.global_orient"
    return {**fields, orient: fields[orient][:, None]}


def relative_errors(found: dict[str, np.ndarray[Any, Any]], expected_file: Path) -> dict[str, float]:
    with np.load(expected_file) as expected:
        names = [name for name in expected if not name.endswith("focal_length")]
        assert len(names) == 21
        errors = {}
        for name in names:
            assert found[name].shape == expected[name].shape, name
            errors[name] = float(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max())
    return errors


def vertex_error(found: dict[str, np.ndarray[Any, Any]], expected_file: Path) -> float:
    """Largest distance of a vertex, m, hands centred on their wrists."""
    with np.load(expected_file) as expected:
        theirs = expected["pred_vertices"] - expected["pred_keypoints_3d"][:, :1]
    ours = found["pred_vertices"] - found["pred_keypoints_3d"][:, :1]
    return float(np.linalg.norm(ours - theirs, axis=-1).max())


@pytest.fixture(scope="module")
def inputs(make_parity_release: ModuleType) -> Tensor:
    return torch.from_numpy(make_parity_release.inputs(0))


@pytest.fixture(autouse=True)
def _free_memory() -> Iterator[None]:
    yield
    gc.collect()


@pytest.mark.parametrize(
    ("packed", "scan", "folded"),
    [(False, "associative", True), (True, "blocked", True), (False, "reference", False)],
    ids=str,
)
def test_mini_is_equal_to_the_release(
    parity: Path, parity_release: PARITY_RELEASE, inputs: Tensor, packed: bool, scan: Any, folded: bool
) -> None:
    network = hamba_core.load(parity_release("mini"), packed=packed, folded=folded)
    network.use_scan(scan)
    errors = relative_errors(answers(network, inputs), parity / "mini" / "expected.npz")
    assert max(errors.values()) < TOLERANCE, errors


@pytest.mark.parametrize("packed", [False, True])
def test_mini_is_equal_to_the_release_in_bfloat16(
    parity: Path, parity_release: PARITY_RELEASE, inputs: Tensor, packed: bool
) -> None:
    if packed and not can_pack(torch.bfloat16):
        pytest.skip("oneDNN has no kernels of bfloat16 for this processor")
    network = hamba_core.load(parity_release("mini"), dtype=torch.bfloat16, packed=packed)
    network.use_scan(inference=packed)
    assert vertex_error(answers(network, inputs), parity / "mini" / "expected.npz") < 2e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_mini_as_fused_kernels_compute_it_is_equal_to_the_release(
    parity: Path, parity_release: PARITY_RELEASE, inputs: Tensor, dtype: torch.dtype
) -> None:
    network = hamba_core.load(parity_release("mini"), dtype=dtype)
    with torch.inference_mode():
        check_fused(network.fused_parts()(inputs), parity / "mini" / "expected.npz", dtype)


def check_fused(output: HambaOutput, expected_file: Path, dtype: torch.dtype) -> None:
    """The plain references of the fused kernels, whose sums and roundings are those of the kernels."""
    assert output.initial is not None
    found = {**by_name(output, ""), **by_name(output.initial, "output_init_regression.")}
    if dtype == torch.bfloat16:
        assert vertex_error({name: tensor.numpy() for name, tensor in found.items()}, expected_file) < 2e-3
        return
    with np.load(expected_file) as expected:
        for name, tensor in found.items():
            error = np.abs(tensor.numpy() - expected[name]).max() / np.abs(expected[name]).max()
            assert error < TOLERANCE, name


def test_mini_is_equal_to_the_release_from_a_converted_file_with_the_users_mano(
    parity: Path, parity_release: PARITY_RELEASE, inputs: Tensor, tmp_path: Path
) -> None:
    release = parity_release("mini")
    mano = release / "data" / "mano" / "MANO_RIGHT.pkl"
    converted = hamba_core.convert_release(release / "checkpoints" / "hamba.ckpt", tmp_path / "mini", mano=mano)
    errors = relative_errors(answers(hamba_core.load(converted.path), inputs), parity / "mini" / "expected.npz")
    assert max(errors.values()) < TOLERANCE, errors


@pytest.mark.slow
def test_full_is_equal_to_the_release(parity: Path, parity_release: PARITY_RELEASE, inputs: Tensor) -> None:
    """Needs about 7 GB of memory and 3 GB of disk."""
    release, expected = parity_release("full"), parity / "full" / "expected.npz"
    for packed in {False, can_pack(torch.float32)}:
        network = hamba_core.load(release, packed=packed)
        network.use_scan(inference=packed)
        errors = relative_errors(answers(network, inputs), expected)
        assert max(errors.values()) < TOLERANCE, (packed, errors)
        gc.collect()
    del network
    gc.collect()
    reduced = hamba_core.load(release, dtype=torch.bfloat16, packed=can_pack(torch.bfloat16))
    reduced.use_scan(inference=True)
    assert vertex_error(answers(reduced, inputs), expected) < 2e-3
    del reduced
    gc.collect()
    network = hamba_core.load(release, dtype=torch.bfloat16)  # as fused kernels compute it
    with torch.inference_mode():
        check_fused(network.fused_parts()(inputs), expected, torch.bfloat16)
