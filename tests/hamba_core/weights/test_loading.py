"""Releases, checkpoints and converted files: the same network out of each, and an error that names what is wrong."""

import json
import os
import struct
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

MakeRelease = Callable[..., Path]
FIELDS = ("camera", "translation", "global_orient", "hand_pose", "betas", "joints", "vertices", "joints_2d")


def crops(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, 256, 256, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="module")
def answer(tiny_release: Path) -> hamba_core.HambaOutput:
    return hamba_core.load(tiny_release)(crops())


@pytest.fixture(scope="module")
def converted(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hamba_core.convert_release(tiny_release, tmp_path_factory.mktemp("converted") / "hamba.safetensors").path


def assert_same(found: hamba_core.HambaOutput, expected: hamba_core.HambaOutput, tolerance: float = 0.0) -> None:
    for field in FIELDS:
        torch.testing.assert_close(getattr(found, field), getattr(expected, field), rtol=0, atol=tolerance)


def checkpoint_of(release: Path) -> Path:
    return release / "checkpoints" / "hamba.ckpt"


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


def damage_one_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x40]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content[: len(content) // 2], "cut short or foreign"),
        (lambda content: b"", "cut short or foreign"),
        (lambda content: b"PK\x03\x04 not really", "cut short or foreign"),
        (damage_one_byte, "damaged"),
    ],
    ids=["truncated", "empty", "foreign", "damaged"],
)
def test_a_checkpoint_that_is_none_is_refused_by_name(
    tiny_release: Path, tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    path = tmp_path / "hamba.ckpt"
    path.write_bytes(change(checkpoint_of(tiny_release).read_bytes()))
    with pytest.raises(WeightsError, match=words) as error:
        hamba_core.load(path, mano=tiny_release / "data" / "mano")
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"model": {}}, "a dict with a state_dict, found a dict of model"),
        ([1, 2], "found list"),
        ({"state_dict": {"downsample.0.weight": "text"}}, r"downsample\.0\.weight: str"),
    ],
)
def test_another_programs_checkpoint_is_refused(tmp_path: Path, content: object, words: str) -> None:
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(WeightsError, match=words):
        hamba_core.load(tmp_path / "other.ckpt")


def test_a_zip_archive_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.ckpt", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(WeightsError, match="damaged or foreign"):
        hamba_core.load(tmp_path / "some.ckpt")


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


class _Hostile:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self.marker,))


def test_nothing_in_a_checkpoint_is_executed(make_release: MakeRelease, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    release = make_release(tmp_path / "release", lambda tensors: tensors.update(evil=_Hostile(str(marker))))
    with pytest.raises(WeightsError, match=r"posix\.mkdir.*nothing.*executed"):
        hamba_core.load(release)
    with pytest.raises(WeightsError, match="refused"):
        hamba_core.convert_release(release, tmp_path / "out.safetensors")
    assert not marker.exists()


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


def remove(tensors: dict[str, Any]) -> None:
    del tensors["mano_head.dec_gcn_vssm.layers.1.blocks.0.op.Ds"]


def add_unknown(tensors: dict[str, Any]) -> None:
    tensors["backbone.cls_token"] = torch.zeros(1, 1, 32)


def reshape(tensors: dict[str, Any]) -> None:
    tensors["initRegression.decpose.weight"] = torch.zeros(96, 17)


def many(tensors: dict[str, Any]) -> None:
    for name in [name for name in tensors if name.startswith("mano_head.dec_gcn_vssm.layers")]:
        del tensors[name]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove, r"1 missing: mano_head\.dec_gcn_vssm\.layers\.1\.blocks\.0\.op\.Ds"),
        (add_unknown, r"1 unknown: backbone\.cls_token"),
        (reshape, r"1 of another shape: initRegression\.decpose\.weight \(96, 17\), not \(96, 16\)"),
        (many, r"54 missing: mano_head\..* and 50 more"),
    ],
    ids=["missing", "unknown", "another shape", "many"],
)
def test_tensors_that_do_not_fit_are_named(
    make_release: MakeRelease, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    release = make_release(tmp_path / "release", change)
    with pytest.raises(WeightsError, match=words) as error:
        hamba_core.load(release)
    assert str(checkpoint_of(release)) in str(error.value)


def test_settings_of_another_network_than_the_tensors_are_named(tiny_release: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "hamba.ckpt"
    path.parent.mkdir()
    path.write_bytes(checkpoint_of(tiny_release).read_bytes())
    text = (tiny_release / "model_config.yaml").read_text()
    (tmp_path / "model_config.yaml").write_text(text.replace("SSM_D_STATE: 1", "SSM_D_STATE: 4"))
    with pytest.raises(WeightsError, match=r"x_proj_weight .*described by .*|described by .*x_proj_weight"):
        hamba_core.load(path, mano=tiny_release / "data" / "mano")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_neither_loaded_nor_converted(
    make_release: MakeRelease, tmp_path: Path, number: float
) -> None:
    def spoil(tensors: dict[str, Any]) -> None:
        tensors["downsample.0.bias"][3] = number

    release = make_release(tmp_path / "release", spoil)
    with pytest.raises(WeightsError, match=r"finite.*downsample\.0\.bias") as error:
        hamba_core.load(release)
    assert str(checkpoint_of(release)) in str(error.value)
    with pytest.raises(WeightsError, match=r"finite.*downsample\.0\.bias"):
        hamba_core.convert_release(release, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_numbers_whose_sum_is_too_large_are_numbers(make_release: MakeRelease, tmp_path: Path) -> None:
    def enlarge(tensors: dict[str, Any]) -> None:
        tensors["downsample.0.bias"].fill_(3e38)

    hamba_core.load(make_release(tmp_path / "release", enlarge))


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.zeros(16, device="meta"), "on the device meta"),
        (torch.zeros(16).to_sparse(), "sparse"),
        (torch.zeros(16, dtype=torch.complex64), "complex64"),
    ],
)
@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants:UserWarning")  # torch's, of sparse ones
def test_a_tensor_that_is_not_plainly_its_numbers_is_named(
    make_release: MakeRelease, tmp_path: Path, tensor: torch.Tensor, words: str
) -> None:
    release = make_release(tmp_path / "release", lambda tensors: tensors.update({"downsample.0.bias": tensor}))
    with pytest.raises(WeightsError, match=rf"hamba\.ckpt: expected tensors with .* downsample\.0\.bias: .*{words}"):
        hamba_core.load(release)


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


def rewrite_header(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def configured(content: bytes, name: str, value: object) -> bytes:
    """The file with another value in its configuration."""

    def change(header: dict[str, Any]) -> None:
        values = json.loads(header["__metadata__"]["configuration"])
        values["gss_head"][name] = value
        header["__metadata__"]["configuration"] = json.dumps(values)

    return rewrite_header(content, change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content[:-1000], "cut short or foreign"),
        (lambda content: content[:200], "cut short or foreign"),
        (lambda content: rewrite_header(content, lambda h: h.pop("__metadata__")), "found format None"),
        (
            lambda content: rewrite_header(content, lambda h: h["__metadata__"].update(format="other")),
            "found format 'other'",
        ),
        (
            lambda content: rewrite_header(content, lambda h: h["__metadata__"].update(configuration="{}")),
            "the network's configuration",
        ),
        (
            lambda content: rewrite_header(content, lambda h: h.update(more=h.pop("downsample.0.bias"))),
            r"1 missing: downsample\.0\.bias; 1 unknown: more",
        ),
        (
            lambda content: rewrite_header(content, lambda h: h["__metadata__"].update(configuration="[" * 100_000)),
            "the network's configuration",
        ),
        (lambda content: configured(content, "depths", [10**9]), "expected depths of 1..256"),
        (lambda content: configured(content, "width", 10**12), "expected width to be above 0 and at most 32768"),
        (lambda content: configured(content, "state", "1"), "expected state to be"),
        (
            lambda content: rewrite_header(
                content, lambda h: h.update({"backbone.blocks.999999999.x": h.pop("downsample.0.bias")})
            ),
            "1 missing: downsample",
        ),
    ],
    ids=[
        *("truncated", "header cut", "no metadata", "other format", "no configuration", "renamed tensor"),
        *("nested without end", "deep without end", "wide without end", "a text", "blocks without end"),
    ],
)
def test_a_converted_file_that_is_none_is_refused_by_name(
    converted: Path, tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    path = tmp_path / "hamba.safetensors"
    path.write_bytes(change(converted.read_bytes()))
    with pytest.raises(WeightsError, match=words) as error:
        hamba_core.load(path)
    assert str(path) in str(error.value)


def test_a_missing_file_and_a_folder_without_a_checkpoint_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.ckpt"):
        hamba_core.load(tmp_path / "absent.ckpt")
    with pytest.raises(WeightsError, match=r"checkpoints/hamba\.ckpt"):
        hamba_core.load(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for name in ("a.ckpt", "b.ckpt"):
        (tmp_path / "checkpoints" / name).touch()
    with pytest.raises(WeightsError, match=r"a\.ckpt, b\.ckpt"):
        hamba_core.load(tmp_path)


def test_devices_and_dtypes_that_cannot_be_are_refused(converted: Path) -> None:
    with pytest.raises(ConfigurationError, match="toaster"):
        hamba_core.load(converted, device="toaster")
    with pytest.raises(ConfigurationError, match="float16"):
        hamba_core.load(converted, dtype=torch.float16)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="use the device cpu"):
            hamba_core.load(converted, device="cuda")
