"""Everything that a training run is told: what `hamba train` reads from its configuration."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from hamba_core.errors import ConfigurationError, error_reason
from hamba_core.network.small import SmallConfiguration
from hamba_core.training import LossWeights
from hamba_core.untrusted import DocumentError, parse_yaml, read_text
from stages.settings import StageSettings, UserPath

_Settings = TypeVar("_Settings", bound=StageSettings)


class CropData(StageSettings):
    """Training crops of `stages.synthetic.crops`: shards in a folder, rendered where they are missing."""

    folder: UserPath = Field(Path("out/crops"), description="folder of the shards and of what is computed from them")
    first_seed: int = Field(1_000_000, ge=0, description="of the first training shard")
    shards: int = Field(20, ge=1, description="training shards; missing ones are rendered")
    crops_per_shard: int = Field(1000, ge=8, description="crops in a shard")
    validation_seed: int = Field(900_000, ge=0, description="of the first held-out shard")
    validation_shards: int = Field(1, ge=1, description="held-out shards")
    second: int = Field(
        0,
        ge=0,
        description="further training shards, of the second mesh (MakeHuman's), in the subfolder `second`",
    )
    variants: int = Field(
        1, ge=1, le=16, description="looks at each crop: the first unchanged, others slightly rotated and recoloured"
    )
    take: Literal["asked", "all"] = Field("asked", description="all: also use every other training shard in the folder")


class TrainingSettings(StageSettings):
    """A run."""

    network: dict[str, Any] = Field(
        {}, description="hamba-s: keys of SmallConfiguration; what is left out is as shipped"
    )
    data: CropData = CropData()
    start: UserPath | None = Field(None, description="initial weights (hamba_s.safetensors); none: random")
    teacher: UserPath | None = Field(
        None, description="a released checkpoint whose joints are learned along with the truth; none: only the truth"
    )
    teacher_hand: UserPath | None = Field(None, description="the teacher's MANO_RIGHT.pkl, if it is not beside it")
    losses: dict[str, float] = Field({}, description="weights of the losses, keys of LossWeights")
    steps: int = Field(8000, ge=1, description="batches in total")
    minutes: float | None = Field(
        None, gt=0, description="CPU time after which training ends even earlier; none: only `steps` counts"
    )
    batch: int = Field(128, ge=2, description="hands per step")
    learning_rate: float = Field(1.5e-3, gt=0, description="the peak; it falls along a cosine")
    warm_up: int = Field(100, ge=0, description="steps in which it rises")
    weight_decay: float = Field(0.05, ge=0, description="for matrices")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    average: float = Field(
        0.998, ge=0, lt=1, description="decay of the running mean of the weights, which is what is saved"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16: mixed precision, products in bfloat16"
    )
    seed: int = Field(0, ge=0, description="of initial weights, order and dropout")
    threads: int = Field(1, ge=1, description="CPU threads")
    device: str = Field("cpu", description="cpu, or cuda")
    evaluate_every: int = Field(500, ge=1, description="steps between evaluations on held-out crops")
    checkpoint_every: int = Field(250, ge=1, description="steps between checkpoints")
    least_presence: float = Field(
        0.3, ge=0, le=1, description="crops in which the landmark network is less sure of a hand are left out"
    )
    least_visible: float = Field(0.25, ge=0, le=1, description="share of joints that must be visible in a crop")

    def configuration(self) -> SmallConfiguration:
        """Return the network. Raises ConfigurationError."""
        return SmallConfiguration.from_dict(self.network)

    def loss_weights(self) -> LossWeights:
        """Return the weights of the losses. Raises ConfigurationError."""
        try:
            return LossWeights(**self.losses)
        except TypeError as error:
            known = ", ".join(LossWeights.__dataclass_fields__)
            raise ConfigurationError(f"losses: expected some of {known}, found {', '.join(self.losses)}") from error

    def hash(self) -> str:
        """Sixteen hexadecimal digits that stand for all that changes the weights, wherever the run's files lie."""
        tree = self.model_dump(mode="json")
        del tree["data"]["folder"], tree["threads"], tree["evaluate_every"], tree["checkpoint_every"]
        del tree["teacher_hand"]
        if not self.data.second:
            del tree["data"]["second"]  # runs from before there was one are the same runs
        tree["network"] = self.configuration().to_dict()
        if self.start is not None:
            tree["start"] = _digest(self.start)
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def read_training_settings(path: Path, overrides: Sequence[str] = ()) -> TrainingSettings:
    """Return the settings in a YAML file, then each "key=value" or "part.key=value". Raises ConfigurationError."""
    return training_settings(read_tree(path, overrides), str(path))


def read_tree(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a YAML file says, then each "key=value" or "part.key=value". Raises ConfigurationError."""
    try:
        tree = parse_yaml(read_text(path)) or {}
    except (OSError, DocumentError) as error:
        raise ConfigurationError(f"{path}: expected a readable YAML file, found: {error_reason(error)}") from error
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{path}: expected a mapping of settings, found {type(tree).__name__}")
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise ConfigurationError(f"--set {override}: expected key=value, for example steps=2000")
        *groups, key = name.strip().split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise ConfigurationError(f"--set {override}: {group} is a single value and has no {key!r} in it")
        try:
            node[key] = parse_yaml(text)
        except DocumentError as error:
            raise ConfigurationError(f"--set {override}: expected a YAML value, found {text!r}: {error}") from error
    return tree


def training_settings(tree: Mapping[str, Any], where: str) -> TrainingSettings:
    """Return settings from their tree, with the network's checked too. Raises ConfigurationError."""
    settings = validated(TrainingSettings, tree, where)
    settings.configuration()
    settings.loss_weights()
    return settings


def validated(kind: type[_Settings], tree: Mapping[str, Any], where: str) -> _Settings:
    """Return settings of this kind from their tree. Raises ConfigurationError."""
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise ConfigurationError(
            f"{where}: expected the settings of a training (docs/training.md lists them), found " + "; ".join(problems)
        ) from None


def _digest(path: Path) -> str:
    """Return a digest of a file's content. Raises ConfigurationError."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigurationError(
            f"start: expected weights to begin from at {path}, found: {error_reason(error)}"
        ) from error
