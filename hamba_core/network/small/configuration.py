"""What has to be known about a hamba-s before its tensors: widths, depths, and which parts it has."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Final, Literal

from hamba_core.errors import ConfigurationError
from hamba_core.network.configuration import DecoderConfiguration

_HEAD: Final = DecoderConfiguration(depths=(1, 1), width=64, dt_rank=4, mlp_ratio=2.0, orders=1)
_MOST_NUMBERS: Final = 100_000_000
"""What ships has 1.3 million."""
_REGRESSOR: Final = DecoderConfiguration(depths=(1,), width=64, dt_rank=4, mlp_ratio=2.0)


@dataclass(frozen=True)
class HandCnnConfiguration:
    """The backbone: a hand-landmark network that is run elsewhere, whose maps and joints are this network's input."""

    crop: int = 224
    """Pixels along a side of its crops."""
    maps: tuple[int, ...] = (40, 112, 192)
    """Channels of the maps that tokens are sampled from, fine to coarse."""
    pooled: int = 1152
    """Numbers in the one vector for the crop."""


@dataclass(frozen=True)
class SmallConfiguration:
    """The whole network. The defaults are what ships; what can be switched off is there to measure what it gives."""

    backbone: HandCnnConfiguration = HandCnnConfiguration()
    gss_head: DecoderConfiguration = _HEAD
    joint_regressor: DecoderConfiguration = _REGRESSOR
    head: Literal["gss", "mlp"] = "gss"
    """mlp: tokens go to the read-out as they are sampled, without graph and scans."""
    first_estimate: Literal["fit", "regressor"] = "fit"
    """What is corrected: the analytic fit to the landmarks, or the answer of state-space blocks over the coarse map."""
    image_features: bool = True
    """Without them the network sees landmarks and first estimate alone."""
    token_readout: int = 16
    """Numbers of each token that the read-out sees."""
    hidden: int = 320
    """Width of the read-out's two layers."""
    dropout: float = 0.2
    """Share of the image features that training hides."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts, for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SmallConfiguration":
        """Return the configuration that `to_dict` gave; what is left out has its default. Raises ConfigurationError."""
        try:
            if not isinstance(values, Mapping):
                raise TypeError(f"a {type(values).__name__}, not names with values")
            given = dict(values)
            for name in ("gss_head", "joint_regressor"):
                if name in given:
                    default = asdict(getattr(cls(), name))
                    decoder = {**default, **given[name]}
                    given[name] = DecoderConfiguration(**{**decoder, "depths": tuple(decoder["depths"])})
            if "backbone" in given:
                backbone = dict(given["backbone"])
                if "maps" in backbone:
                    backbone["maps"] = tuple(backbone["maps"])
                given["backbone"] = HandCnnConfiguration(**backbone)
            configuration = cls(**given)
            configuration.check()
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"network configuration: expected the keys and values of SmallConfiguration, found {values!r:.500} "
                f"({error}); docs/training.md has a table of them"
            ) from error
        return configuration

    def check(self) -> None:
        """Raise ValueError for what no network can be made of."""
        if self.head not in ("gss", "mlp"):
            raise ValueError(f"head: expected gss or mlp, found {self.head!r}")
        if self.first_estimate not in ("fit", "regressor"):
            raise ValueError(f"first_estimate: expected fit or regressor, found {self.first_estimate!r}")
        if not (isfinite(self.dropout) and 0 <= self.dropout < 1):
            raise ValueError(f"dropout: expected 0 up to 1, found {self.dropout!r}")
        if not isinstance(self.image_features, bool):
            raise ValueError(f"image_features: expected true or false, found {self.image_features!r:.80}")
        sizes = {
            "backbone.crop": self.backbone.crop,
            "backbone.pooled": self.backbone.pooled,
            **{f"backbone.maps[{place}]": channels for place, channels in enumerate(self.backbone.maps)},
            "hidden": self.hidden,
            "token_readout": self.token_readout,
            "gss_head.width": self.gss_head.width,
            "joint_regressor.width": self.joint_regressor.width,
        }
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 4096:
                raise ValueError(f"{name}: expected a whole number from 1 to 4096, found {size!r:.80}")
        if len(self.backbone.maps) != len(HandCnnConfiguration.maps):
            raise ValueError(f"backbone.maps: expected {len(HandCnnConfiguration.maps)}, found {self.backbone.maps}")
        if (numbers := self._numbers()) > _MOST_NUMBERS:
            raise ValueError(f"expected a network of at most {_MOST_NUMBERS:,} numbers, found {numbers:,}")

    def _numbers(self) -> int:
        """About how many numbers its large matrices have."""
        numbers = 21 * self.token_readout * self.hidden + self.hidden**2
        for decoder in (self.gss_head, self.joint_regressor):
            steps = 2 * decoder.orders * decoder.inner_width * (2 * decoder.dt_rank + 3 * decoder.state)
            block = decoder.width * (2 * decoder.inner_width + 2 * decoder.mlp_width) + steps
            numbers += sum(decoder.depths) * block
        return numbers
