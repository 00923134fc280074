"""Everything that a training of the released size is told."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, TypeVar

from pydantic import Field

from hamba_core.errors import ConfigurationError
from hamba_core.network import RELEASED, HambaConfiguration
from hamba_core.training import Augmentation, ReleasedLossWeights
from pipeline.training.settings import validated
from stages.settings import StageSettings, UserPath

T = TypeVar("T")


class MixedData(StageSettings):
    """Data sets and how they are mixed."""

    folders: dict[str, UserPath] = Field(
        {},
        description="of the data sets by name: freihand, interhand, rhd, coco_wholebody, ho3d, dexycb, hint, rendered",
    )
    weights: dict[str, float] | None = Field(None, description="of the data sets by name; none: the paper's")
    aside: float = Field(0.01, ge=0, lt=1, description="share of each set, its last hands, that is kept aside")
    workers: int = Field(0, ge=0, description="processes that read and cut pictures beside this one")


class ReleasedSettings(StageSettings):
    """A run of the released size. The defaults are the paper's second stage."""

    size: Literal["released"] = Field("released", description="says that the network is of the released size")
    start: UserPath | None = Field(
        None, description="a Hamba release or its checkpoint to go on from; none: first weights"
    )
    start_backbone: UserPath | None = Field(
        None, description="a checkpoint whose backbone alone is taken, as HaMeR's; none: the start's"
    )
    hand: UserPath | None = Field(
        None, description="the user's MANO_RIGHT.pkl; none: the generic hand, without MANO data"
    )
    network: dict[str, Any] = Field(
        {}, description="of first weights: parts of HambaConfiguration; what is left out is as released"
    )
    data: MixedData = MixedData()
    augmentation: dict[str, float] = Field({}, description="keys of Augmentation; what is left out is as the paper's")
    losses: dict[str, float] = Field({}, description="weights of the losses, keys of ReleasedLossWeights")
    adversarial: bool = Field(False, description="train a discriminator of poses and shapes along")
    freeze: tuple[str, ...] = Field((), description="parts that stay as they are, as backbone")
    steps: int = Field(170_000, ge=1, description="batches in all")
    batch: int = Field(56, ge=2, description="hands in a step, of all processes together")
    learning_rate: float = Field(1e-5, gt=0, description="the same in all steps")
    weight_decay: float = Field(1e-4, ge=0, description="of all parameters")
    clip: float = Field(1.0, gt=0, description="largest norm of a step's gradient")
    average: float = Field(
        0.0, ge=0, lt=1, description="decay of a running mean of the weights, which is kept; 0: none"
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="bfloat16: mixed, products in bfloat16")
    recompute: bool = Field(False, description="compute the backbone's blocks twice, for a fraction of the memory")
    seed: int = Field(0, ge=0, description="of first weights, order and augmentation")
    threads: int = Field(1, ge=1, description="of the processor")
    device: str = Field("cpu", description="cpu, or cuda")
    evaluate_every: int = Field(5000, ge=1, description="steps between evaluations on what is kept aside")
    evaluate_hands: int = Field(256, ge=1, description="hands that are evaluated at most")
    checkpoint_every: int = Field(1000, ge=1, description="steps between checkpoints")

    def configuration(self) -> HambaConfiguration:
        """Return the network that first weights are drawn for. Raises ConfigurationError."""
        tree = RELEASED.to_dict()
        for name, value in self.network.items():
            if name not in tree:
                raise ConfigurationError(f"network: expected some of {', '.join(tree)}, found {name}")
            tree[name] = {**tree[name], **value} if isinstance(tree[name], dict) and isinstance(value, dict) else value
        return HambaConfiguration.from_dict(tree)

    def loss_weights(self) -> ReleasedLossWeights:
        """Return the weights of the losses. Raises ConfigurationError."""
        return _validated_part(ReleasedLossWeights, self.losses, "losses")

    def changes(self) -> Augmentation:
        """Return how crops are changed. Raises ConfigurationError."""
        return _validated_part(Augmentation, self.augmentation, "augmentation")

    def check(self) -> None:
        """Raise ConfigurationError for what no run can be made of."""
        self.configuration()
        self.loss_weights()
        self.changes()
        if not self.data.folders:
            raise ConfigurationError("data.folders: expected data sets by name with their folders, found none")

    def hash(self) -> str:
        """Sixteen hexadecimal digits that stand for all that changes the weights, wherever files lie."""
        tree = self.model_dump(mode="json")
        for name in ("threads", "evaluate_every", "evaluate_hands", "checkpoint_every", "recompute"):
            del tree[name]
        tree["data"] = {**tree["data"], "folders": sorted(tree["data"]["folders"])}
        del tree["data"]["workers"]
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def released_settings(tree: Mapping[str, Any], where: str) -> ReleasedSettings:
    """Return settings from their tree, with what they name checked too. Raises ConfigurationError."""
    settings = validated(ReleasedSettings, tree, where)
    settings.check()
    return settings


def _validated_part(kind: type[T], values: dict[str, float], name: str) -> T:
    try:
        return kind(**values)
    except TypeError as error:
        known = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
        raise ConfigurationError(f"{name}: expected some of {known}, found {', '.join(values)}") from error
