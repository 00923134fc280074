"""Weights that are damaged, foreign or hostile are refused by name, and nothing in them is executed."""

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hamba_core
from hamba_core.errors import WeightsError
from tests.hamba_core.weights.conftest import MakeRelease, checkpoint_of


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
        (lambda content: configured(content, "depths", [10**9]), "expected depths of 1 or more"),
        (
            lambda content: configured(content, "width", 10**12),
            "expected width to be a whole number above 0 and at most 32768",
        ),
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
