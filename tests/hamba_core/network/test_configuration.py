"""A release's settings are read, and those that would mean another network are refused by name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hamba_core.errors import ConfigurationError
from hamba_core.network.configuration import RELEASED, HambaConfiguration, read_configuration


def released_settings() -> dict[str, Any]:
    decoder = {
        "DIMS": [512] * 4, "EMBED_DIM": 512, "DEPTHS": [2, 2, 2, 2], "SSM_D_STATE": 1, "SSM_DT_RANK": "auto",
        "SSM_RATIO": 2.0, "SSM_CONV": 3, "SSM_CONV_BIAS": False, "SSM_FORWARDTYPE": "v05_noz", "MLP_RATIO": 4.0,
        "DOWNSAMPLE": "none", "PATCHEMBED": "v2", "NORM_LAYER": "ln2d", "DROP_PATH_RATE": 0.2,
    }  # fmt: skip
    return {
        "MANO": {"NUM_HAND_JOINTS": 15, "GENDER": "neutral"},
        "EXTRA": {"FOCAL_LENGTH": 5000},
        "TRAIN": {"LR": 1e-5},
        "MODEL": {
            "IMAGE_SIZE": 256,
            "IMAGE_MEAN": [0.485, 0.456, 0.406],
            "USE_DOWNSAMPLE": True,
            "CLIP_JOINT2D": True,
            "JOINT_NUM": 21,
            "BACKBONE": {"TYPE": "vit", "PRETRAINED_WEIGHTS": "somewhere.ckpt"},
            "DECODER_MAMBA": dict(decoder),
            "MANO_HEAD": {**decoder, "TYPE": "mamba_gcn_decoder"},
        },
    }


def write(path: Path, tree: object) -> Path:
    path.write_text(yaml.safe_dump(tree))
    return path


def test_the_releases_settings_are_the_default_configuration(tmp_path: Path) -> None:
    assert read_configuration(write(tmp_path / "model_config.yaml", released_settings())) == RELEASED


@pytest.mark.parametrize("size", ["mini", "full"])
def test_the_proofs_settings_are_read(parity: Path, size: str) -> None:
    configuration = read_configuration(parity / size / "model_config.yaml")
    expected = (1, 2) if size == "mini" else (2, 2, 2, 2)
    assert configuration.joint_regressor.depths == configuration.gss_head.depths == expected


def test_other_depths_states_and_ratios_are_read(tmp_path: Path) -> None:
    tree = released_settings()
    tree["MODEL"]["DECODER_MAMBA"] |= {"DEPTHS": [3], "DIMS": [512], "SSM_D_STATE": 16, "MLP_RATIO": 2}
    tree["MODEL"]["MANO_HEAD"] |= {"SSM_DT_RANK": 8, "SSM_RATIO": 1.0, "SSM_CONV_BIAS": True}
    tree["EXTRA"]["FOCAL_LENGTH"] = 4000.0
    tree["MODEL"]["IMAGE_MEAN"] = [0.5, 0.5, 0.5]
    read = read_configuration(write(tmp_path / "model_config.yaml", tree))
    assert (read.joint_regressor.depths, read.joint_regressor.state, read.joint_regressor.mlp_width) == ((3,), 16, 1024)
    assert (read.gss_head.dt_rank, read.gss_head.inner_width, read.gss_head.convolution_bias) == (8, 512, True)
    assert (read.focal_length, read.mean) == (4000.0, (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.IMAGE_SIZE", 224),
        ("MODEL.CLIP_JOINT2D", False),
        ("MODEL.JOINT_NUM", 16),
        ("MODEL.USE_DOWNSAMPLE", False),
        ("MODEL.FEATURE_FUSION_TYPE", "layer3"),
        ("MODEL.IMAGE_MEAN", [0.5]),
        ("MODEL.SOMETHING_NEW", 1),
        ("MODEL.BACKBONE.TYPE", "resnet"),
        ("MODEL.DECODER_MAMBA.SSM_FORWARDTYPE", "v2"),
        ("MODEL.DECODER_MAMBA.SSM_CONV", 5),
        ("MODEL.DECODER_MAMBA.DIMS", [512, 256]),
        ("MODEL.DECODER_MAMBA.DEPTHS", "2222"),
        ("MODEL.DECODER_MAMBA.SSM_D_STATE", 1.5),
        ("MODEL.DECODER_MAMBA.SSM_RATIO", -2.0),
        ("MODEL.MANO_HEAD.TYPE", "transformer_decoder"),
        ("MODEL.MANO_HEAD.NORM_LAYER", "bn"),
        ("MODEL.MANO_HEAD.IEF_ITERS", 3),
        ("MODEL.MANO_HEAD", "mamba"),
        ("MODEL", None),
        ("EXTRA.FOCAL_LENGTH", "long"),
        ("MANO.NUM_HAND_JOINTS", 20),
    ],
)
def test_another_network_is_refused_by_file_key_and_value(tmp_path: Path, key: str, value: object) -> None:
    tree = released_settings()
    *parents, leaf = key.split(".")
    node = tree
    for parent in parents:
        node = node[parent]
    node[leaf] = value
    path = write(tmp_path / "model_config.yaml", tree)
    with pytest.raises(ConfigurationError) as error:
        read_configuration(path)
    assert str(path) in str(error.value)
    assert key in str(error.value)
    assert repr(value) in str(error.value)


def test_both_decoders_have_the_width_of_the_features(tmp_path: Path) -> None:
    tree = released_settings()
    tree["MODEL"]["MANO_HEAD"] |= {"EMBED_DIM": 256, "DIMS": [256] * 4}
    with pytest.raises(ConfigurationError, match=r"MANO_HEAD\.EMBED_DIM"):
        read_configuration(write(tmp_path / "model_config.yaml", tree))


@pytest.mark.parametrize("text", ["[1, 2", "just words", "", "a: b: c"])
def test_a_file_that_is_no_configuration_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model_config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"model_config\.yaml"):
        read_configuration(path)


def test_a_configuration_survives_being_written_as_plain_values() -> None:
    assert HambaConfiguration.from_dict(RELEASED.to_dict()) == RELEASED
    with pytest.raises(ConfigurationError, match="network configuration"):
        HambaConfiguration.from_dict({"backbone": {}})
    with pytest.raises(ConfigurationError, match="a width that 16 heads share, found 1000"):
        HambaConfiguration.from_dict({**RELEASED.to_dict(), "backbone": {"width": 1000}})
    with pytest.raises(ConfigurationError, match="expected width to be a whole number"):
        HambaConfiguration.from_dict({**RELEASED.to_dict(), "backbone": {"width": 1280.5}})
