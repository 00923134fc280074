"""What has to be known about a Hamba network before its tensors: depths, widths, and the release's switches."""

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

from hamba_core.errors import ConfigurationError
from hamba_core.untrusted import DocumentError, parse_yaml, read_text

CROP_SIZE: Final = 256
"""Side of the network's square input, px."""

TOKEN_ROWS: Final = 16
TOKEN_COLUMNS: Final = 12
"""The backbone sees the middle 192 of 256 columns in patches of 16 x 16."""


_WIDEST: Final = 1 << 15
_MOST_BLOCKS: Final = 256


def _check_sizes(configuration: object, **largest: float) -> None:
    """Refuse sizes that would make a network without end. Raises ConfigurationError."""
    for name, most in largest.items():
        value = getattr(configuration, name)
        whole = isinstance(getattr(type(configuration), name), int)  # by its default
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 < value <= most:
            kind = "a whole number" if whole else "a number"
            raise ConfigurationError(
                f"network: expected {name} to be {kind} above 0 and at most {most}, found {value!r:.80}"
            )


@dataclass(frozen=True)
class BackboneConfiguration:
    """A plain vision transformer. The released one is ViT-H."""

    width: int = 1280
    depth: int = 32
    mlp_width: int = 5120
    heads: int = 16

    def __post_init__(self) -> None:
        _check_sizes(self, width=_WIDEST, depth=_MOST_BLOCKS, mlp_width=4 * _WIDEST, heads=_WIDEST)
        if self.width % self.heads:
            raise ConfigurationError(f"network: expected a width that {self.heads} heads share, found {self.width}")


@dataclass(frozen=True)
class DecoderConfiguration:
    """A line of stages of VSS blocks, all of one width and one resolution."""

    depths: tuple[int, ...] = (2, 2, 2, 2)
    """VSS blocks of each stage."""
    width: int = 512
    state: int = 1
    """N: numbers of state that each channel's recurrence carries."""
    dt_rank: int = 32
    expansion: float = 2.0
    mlp_ratio: float = 4.0
    convolution_bias: bool = False
    orders: int = 2
    """Ways in which a map is scanned: row by row and, in the second, column by column. In a column of tokens both are
    the same order, of which 1 is enough."""
    two_way: bool = True
    """Scan each of them backward too."""
    graph: bool = True
    """Before each stage of the GSS head, joints hear of their neighbours."""

    def __post_init__(self) -> None:
        _check_sizes(self, width=_WIDEST, state=_WIDEST, dt_rank=_WIDEST, expansion=16, mlp_ratio=16, orders=2)
        for name in ("convolution_bias", "two_way", "graph"):
            if not isinstance(value := getattr(self, name), bool):
                raise ConfigurationError(f"network: expected {name} to be true or false, found {value!r:.80}")
        whole = all(type(depth) is int and depth >= 1 for depth in self.depths)
        if not self.depths or not whole or sum(self.depths) > _MOST_BLOCKS:
            raise ConfigurationError(
                f"network: expected depths of 1 or more, together at most {_MOST_BLOCKS}, found {self.depths!s:.200}"
            )

    @property
    def inner_width(self) -> int:
        """The number of channels of the scans."""
        return int(self.width * self.expansion)

    @property
    def mlp_width(self) -> int:
        """The number of hidden channels of a block's MLP."""
        return int(self.width * self.mlp_ratio)


@dataclass(frozen=True)
class HambaConfiguration:
    """The whole network. Without arguments, the released one."""

    joint_regressor: DecoderConfiguration = DecoderConfiguration()
    gss_head: DecoderConfiguration = DecoderConfiguration()
    backbone: BackboneConfiguration = BackboneConfiguration()
    focal_length: float = 5000.0
    """The focal length of the crop's camera, px, for a crop of 256 px."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """RGB 0..1 is normalised as (x - mean) / std."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "HambaConfiguration":
        """Make a configuration of what `to_dict` gave. Raises ConfigurationError."""
        try:
            decoders = {
                name: DecoderConfiguration(**{**values[name], "depths": tuple(values[name]["depths"])})
                for name in ("joint_regressor", "gss_head")
            }
            return cls(
                **decoders,
                backbone=BackboneConfiguration(**values["backbone"]),
                focal_length=float(values["focal_length"]),
                mean=_triple(values["mean"]),
                std=_triple(values["std"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"network configuration: expected what HambaConfiguration.to_dict gives, found {values!r:.500} "
                f"({error}); convert the checkpoint again"
            ) from error


RELEASED: Final = HambaConfiguration()
"""The released configuration."""

# What each setting under MODEL has to be: another value would be another network than this one. The keys are spelled
# as the release spells them.
_IMPLEMENTED: Final[Mapping[str, object]] = {
    "IMAGE_SIZE": CROP_SIZE,
    "FEATURE_FUSION_TYPE": "layer4",
    "USE_DOWNSAMPLE": True,
    "GRIDSAMPLE": True,
    "GRIDSAMPLE_ORIGIANL": False,
    "USE_INIT_REGRESSION": True,
    "ONLY_TRAIN_USE_INIT_REGRESSION": False,
    "USE_MAMBA_BLOCKS": True,
    "USE_JOINT2D_FEAT": True,
    "CONCAT_GLOBAL_MEAN": True,
    "CONCAT_GLOBAL_MEAN_IN_END": True,
    "CONCAT_GRID_MEAN_IN_END": True,
    "CLIP_JOINT2D": True,
    "JOINT_NUM": 21,
    "IEF_ITERS": 1,
    "JOINT_REP": "6d",
}
_IMPLEMENTED_BACKBONE: Final[Mapping[str, object]] = {"TYPE": "vit"}
_IMPLEMENTED_DECODER: Final[Mapping[str, object]] = {
    "SSM_CONV": 3,
    "SSM_FORWARDTYPE": "v05_noz",
    "DOWNSAMPLE": "none",
    "NORM_LAYER": "ln2d",
    "IEF_ITERS": 1,
    "JOINT_REP": "6d",
}
# These change training, or where files are looked for, and nothing that is computed.
_WITHOUT_EFFECT: Final = {"PRETRAINED_WEIGHTS", "DROP_PATH_RATE", "PATCHEMBED"}


def read_configuration(path: Path) -> HambaConfiguration:
    """Return the network that a release's `model_config.yaml` describes; its tensors tell the backbone's size later.

    What the file leaves out is as in the release. Raises ConfigurationError, naming file, key and value, for a setting
    that would change what is computed and is not implemented.
    """
    try:
        tree = parse_yaml(read_text(path))
    except (OSError, DocumentError) as error:
        raise ConfigurationError(f"{path}: expected the release's model configuration, found: {error}") from error
    reader = _Reader(path)
    root = reader.group(tree, "")
    model = reader.group(root.get("MODEL"), "MODEL")
    reader.check(reader.group(root.get("MANO", {}), "MANO"), "MANO", {"NUM_HAND_JOINTS": 15}, known=None)
    reader.check(
        model, "MODEL", _IMPLEMENTED, known={"IMAGE_MEAN", "IMAGE_STD", "BACKBONE", "DECODER_MAMBA", "MANO_HEAD"}
    )
    reader.check(reader.group(model.get("BACKBONE", {}), "MODEL.BACKBONE"), "MODEL.BACKBONE", _IMPLEMENTED_BACKBONE)
    regressor = reader.decoder(model, "DECODER_MAMBA", {})
    head = reader.decoder(model, "MANO_HEAD", {"TYPE": "mamba_gcn_decoder"})
    if regressor.width != head.width:
        raise ConfigurationError(
            f"{path}: expected MODEL.MANO_HEAD.EMBED_DIM to be MODEL.DECODER_MAMBA.EMBED_DIM = {regressor.width}, "
            f"found {head.width}; other networks are not implemented"
        )
    extra = reader.group(root.get("EXTRA", {}), "EXTRA")
    return HambaConfiguration(
        joint_regressor=regressor,
        gss_head=head,
        focal_length=reader.number(extra, "EXTRA.FOCAL_LENGTH", RELEASED.focal_length),
        mean=reader.triple(model, "MODEL.IMAGE_MEAN", RELEASED.mean),
        std=reader.triple(model, "MODEL.IMAGE_STD", RELEASED.std),
    )


class _Reader:
    """It reads a tree of settings; every error names the file, the key and the value."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def refuse(self, key: str, value: object, expected: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path}: expected {key} to be {expected}, found {value!r}; a network with this setting is not "
            "implemented: use a release that this program supports"
        )

    def group(self, value: object, key: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            where = key or "the whole file"
            raise ConfigurationError(f"{self.path}: expected {where} to be a mapping of settings, found {value!r}")
        return value

    def check(
        self,
        group: Mapping[str, Any],
        name: str,
        implemented: Mapping[str, object],
        known: Set[str] | None = frozenset(),
    ) -> None:
        """Check that settings have the implemented value; `known` ones are read elsewhere, and None knows them all."""
        for key, value in group.items():
            if key in implemented:
                if value != implemented[key]:
                    raise self.refuse(f"{name}.{key}", value, repr(implemented[key]))
            elif known is not None and key not in known and key not in _WITHOUT_EFFECT:
                raise self.refuse(f"{name}.{key}", value, "absent, since its effect is not known")

    def number(self, group: Mapping[str, Any], key: str, default: float, least: float = 0.0) -> float:
        value = group.get(key.rpartition(".")[2], default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > least:
            raise self.refuse(key, value, f"a number above {least:g}")
        return float(value)

    def whole(self, group: Mapping[str, Any], key: str, default: int) -> int:
        value = self.number(group, key, default)
        if value != int(value):
            raise self.refuse(key, value, "a whole number")
        return int(value)

    def triple(
        self, group: Mapping[str, Any], key: str, default: tuple[float, float, float]
    ) -> tuple[float, float, float]:
        value = group.get(key.rpartition(".")[2], default)
        try:
            return _triple(value)
        except (TypeError, ValueError):
            raise self.refuse(key, value, "three numbers") from None

    def decoder(self, model: Mapping[str, Any], name: str, implemented: Mapping[str, object]) -> DecoderConfiguration:
        key, released = f"MODEL.{name}", DecoderConfiguration()
        group = self.group(model.get(name, {}), key)
        read = {"DIMS", "EMBED_DIM", "DEPTHS", "SSM_D_STATE", "SSM_DT_RANK", "SSM_RATIO", "SSM_CONV_BIAS", "MLP_RATIO"}
        self.check(group, key, {**_IMPLEMENTED_DECODER, **implemented}, known=read)
        width = self.whole(group, f"{key}.EMBED_DIM", released.width)
        depths = group.get("DEPTHS", list(released.depths))
        if not isinstance(depths, list) or not depths or not all(type(n) is int and n > 0 for n in depths):
            raise self.refuse(f"{key}.DEPTHS", depths, "a list of whole numbers above 0")
        widths = group.get("DIMS", [width] * len(depths))
        if widths != [width] * len(depths):
            raise self.refuse(f"{key}.DIMS", widths, f"EMBED_DIM for each stage, {[width] * len(depths)}")
        bias = group.get("SSM_CONV_BIAS", False)
        if not isinstance(bias, bool):
            raise self.refuse(f"{key}.SSM_CONV_BIAS", bias, "true or false")
        automatic = group.get("SSM_DT_RANK", "auto") == "auto"
        return DecoderConfiguration(
            depths=tuple(depths),
            width=width,
            state=self.whole(group, f"{key}.SSM_D_STATE", released.state),
            dt_rank=ceil(width / 16) if automatic else self.whole(group, f"{key}.SSM_DT_RANK", released.dt_rank),
            expansion=self.number(group, f"{key}.SSM_RATIO", released.expansion),
            mlp_ratio=self.number(group, f"{key}.MLP_RATIO", released.mlp_ratio),
            convolution_bias=bias,
        )


def _triple(value: Any) -> tuple[float, float, float]:
    first, second, third = value
    return float(first), float(second), float(third)
