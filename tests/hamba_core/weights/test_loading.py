"""Releases, checkpoints and converted files: the same network out of each."""

import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import hamba_core
from hamba_core.errors import ConfigurationError, DeviceError, HandModelError, OutputError, WeightsError
from hamba_core.network import can_pack
from hamba_core.weights import load_hand
from tests.hamba_core.weights.conftest import MakeRelease, checkpoint_of

FIELDS = ("camera", "translation", "global_orient", "hand_pose", "betas", "joints", "vertices", "joints_2d")


def crops(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, 256, 256, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="module")
def answer(tiny_release: Path) -> hamba_core.HambaOutput:
    return hamba_core.load(tiny_release)(crops())


def assert_same(found: hamba_core.HambaOutput, expected: hamba_core.HambaOutput, tolerance: float = 0.0) -> None:
    for field in FIELDS:
        torch.testing.assert_close(getattr(found, field), getattr(expected, field), rtol=0, atol=tolerance)


def test_a_checkpoint_gives_what_its_release_gives(tiny_release: Path, answer: hamba_core.HambaOutput) -> None:
    network = hamba_core.load(checkpoint_of(tiny_release))
    assert not network.training
    assert_same(network(crops()), answer)


def test_a_converted_file_gives_what_its_release_gives(converted: Path, answer: hamba_core.HambaOutput) -> None:
    assert_same(hamba_core.load(converted)(crops()), answer)


@pytest.mark.parametrize("packed", [False, True])
def test_in_bfloat16_both_files_give_the_same(tiny_release: Path, converted: Path, packed: bool) -> None:
    if packed and not can_pack(torch.bfloat16):
        pytest.skip("oneDNN has no kernels of bfloat16 for this processor")
    first, second = (
        hamba_core.load(path, dtype=torch.bfloat16, packed=packed)(crops()) for path in (tiny_release, converted)
    )
    assert first.vertices.dtype == torch.float32
    assert_same(first, second)


def test_packed_weights_give_the_same_answer(converted: Path, answer: hamba_core.HambaOutput) -> None:
    if not can_pack(torch.float32):
        pytest.skip("oneDNN has no kernels for this processor")
    assert_same(hamba_core.load(converted, packed=True)(crops()), answer, tolerance=1e-4)


def test_weights_are_float32_unless_asked_and_in_bfloat16_only_the_large_products_change(converted: Path) -> None:
    plain, reduced = hamba_core.load(converted), hamba_core.load(converted, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in plain.parameters()} == {torch.float32}
    kept = {name for name, parameter in reduced.named_parameters() if parameter.dtype == torch.float32}
    changed = {name for name, parameter in reduced.named_parameters() if parameter.dtype == torch.bfloat16}
    assert {"backbone.blocks.0.attn.qkv.weight", "gss_head.decoder.gcn_layers.0.gconv.W"} <= changed
    assert {name for name in kept | changed if "norm" in name or ".A_logs" in name or "readout" in name} <= kept


def test_a_converted_files_tensors_are_mapped_and_not_copied(converted: Path) -> None:
    network = hamba_core.load(converted)
    address = network.get_parameter("backbone.blocks.0.mlp.fc1.weight").data_ptr()
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    (file,) = [line[-1] for line in maps if int(line[0].split("-")[0], 16) <= address < int(line[0].split("-")[1], 16)]
    assert file == str(converted)


def test_groups_that_the_network_does_not_use_are_passed_over(
    make_release: MakeRelease, tmp_path: Path, answer: hamba_core.HambaOutput
) -> None:
    def add(tensors: dict[str, Any]) -> None:
        tensors |= {"mano.v_template": torch.zeros(3), "mano.pose_mean": torch.zeros(48)}
        tensors |= {"discriminator.more": torch.zeros(2)}

    release = make_release(tmp_path / "release", add)
    assert_same(hamba_core.load(release)(crops()), answer)
    assert_same(hamba_core.load(hamba_core.convert_release(release, tmp_path / "file").path)(crops()), answer)


def test_a_mano_file_of_ones_own_is_used_and_another_one_changes_the_answer(
    tiny_release: Path, converted: Path, write_mano: Callable[..., Path], tmp_path: Path, mano_arrays: dict[str, Any]
) -> None:
    larger = write_mano(tmp_path / "MANO_RIGHT.pkl", v_template=2 * mano_arrays["v_template"])
    for path in (tiny_release, converted):
        assert hamba_core.load(path)(crops()).vertices.abs().max() < 0.4
        assert hamba_core.load(path, mano=larger)(crops()).vertices.abs().max() > 0.25


def test_a_hand_is_the_networks_without_the_network_being_loaded(
    tiny_release: Path, converted: Path, tmp_path: Path
) -> None:
    for path in (tiny_release, checkpoint_of(tiny_release), converted):
        hand, expected = load_hand(path), hamba_core.load(path).hand
        assert hand.name == expected.name
        np.testing.assert_array_equal(hand.v_template, expected.v_template)
        np.testing.assert_array_equal(hand.faces, expected.faces)
    with pytest.raises(WeightsError, match=r"absent\.ckpt"):
        load_hand(tmp_path / "absent.ckpt")
    (tmp_path / "notes.txt").write_text("no weights")
    with pytest.raises(WeightsError, match=r"notes\.txt.*foreign"):
        load_hand(tmp_path / "notes.txt")


def test_without_a_hand_the_error_says_where_to_get_one(tiny_release: Path, tmp_path: Path) -> None:
    alone = tmp_path / "release" / "checkpoints" / "hamba.ckpt"
    alone.parent.mkdir(parents=True)
    alone.write_bytes(checkpoint_of(tiny_release).read_bytes())
    (alone.parent.parent / "model_config.yaml").write_bytes((tiny_release / "model_config.yaml").read_bytes())
    for give in (hamba_core.load, load_hand):
        with pytest.raises(HandModelError, match=r"mano\.is\.tue\.mpg\.de"):
            give(alone)
    conversion = hamba_core.convert_release(alone, tmp_path / "without_hand.safetensors")
    assert not conversion.with_hand
    with pytest.raises(HandModelError, match="without_hand"):
        hamba_core.load(conversion.path)
    assert hamba_core.load(conversion.path, mano=tiny_release / "data" / "mano").hand.name == "mano"


def test_without_settings_the_released_configuration_is_taken_and_named(tiny_release: Path, tmp_path: Path) -> None:
    alone = tmp_path / "a" / "b" / "hamba.ckpt"
    alone.parent.mkdir(parents=True)
    alone.write_bytes(checkpoint_of(tiny_release).read_bytes())
    with pytest.raises(WeightsError, match=r"released configuration.*model_config\.yaml"):
        hamba_core.load(alone, mano=tiny_release / "data" / "mano")


def test_a_checkpoint_takes_no_more_memory_than_its_file_has_bytes(make_release: MakeRelease, tmp_path: Path) -> None:
    def repeat(tensors: dict[str, Any]) -> None:
        tensors["backbone.pos_embed"] = torch.zeros(1).expand(1, 193, 10**9)

    with pytest.raises(WeightsError, match=r"found fewer for backbone\.pos_embed"):
        hamba_core.load(make_release(tmp_path / "repeated", repeat))
    packed = tmp_path / "packed.ckpt"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("packed/data.pkl", bytes(100_000))
    with pytest.raises(WeightsError, match=r"data\.pkl compressed"):
        hamba_core.load(packed)


def test_settings_that_lightning_saves_beside_the_tensors_do_no_harm(
    tiny_release: Path, tmp_path: Path, answer: hamba_core.HambaOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    yacs = ModuleType("yacs.config")
    node = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    yacs.CfgNode = node  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "yacs", ModuleType("yacs"))
        patch.setitem(__import__("sys").modules, "yacs.config", yacs)
        content = torch.load(checkpoint_of(tiny_release), weights_only=True)
        content["hyper_parameters"] = OrderedDict(cfg=node(MODEL=node(IMAGE_SIZE=256)))
        path = tmp_path / "checkpoints" / "hamba.ckpt"
        path.parent.mkdir()
        torch.save(content, path)
    (tmp_path / "model_config.yaml").write_bytes((tiny_release / "model_config.yaml").read_bytes())
    assert_same(hamba_core.load(path, mano=tiny_release / "data" / "mano")(crops()), answer)


def test_numbers_whose_sum_is_too_large_are_numbers(make_release: MakeRelease, tmp_path: Path) -> None:
    def enlarge(tensors: dict[str, Any]) -> None:
        tensors["downsample.0.bias"].fill_(3e38)

    hamba_core.load(make_release(tmp_path / "release", enlarge))


def test_conversion_tells_how_far_it_is_and_what_it_made(tiny_release: Path, tmp_path: Path) -> None:
    shares: list[float] = []
    conversion = hamba_core.convert_release(
        tiny_release, tmp_path / "new" / "hamba.safetensors", progress=shares.append
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert conversion.size == conversion.path.stat().st_size
    assert conversion.with_hand
    assert conversion.configured_by == str(tiny_release / "model_config.yaml")


def test_a_converted_file_is_replaced_and_any_other_file_is_not(
    converted: Path, tiny_release: Path, tmp_path: Path
) -> None:
    target = tmp_path / "hamba.safetensors"
    target.write_bytes(converted.read_bytes())
    again = hamba_core.convert_release(converted, target, mano=tiny_release / "data" / "mano")
    assert again.with_hand
    precious = tmp_path / "notes.txt"
    precious.write_text("mine")
    for path in (precious, checkpoint_of(tiny_release)):
        before = path.read_bytes()
        with pytest.raises(OutputError, match="left as it is"):
            hamba_core.convert_release(tiny_release, path)
        assert path.read_bytes() == before


def test_devices_and_dtypes_that_cannot_be_are_refused(converted: Path) -> None:
    with pytest.raises(ConfigurationError, match="toaster"):
        hamba_core.load(converted, device="toaster")
    with pytest.raises(ConfigurationError, match="float16"):
        hamba_core.load(converted, dtype=torch.float16)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="use the device cpu"):
            hamba_core.load(converted, device="cuda")
