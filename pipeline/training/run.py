"""A whole training in a folder: crops, features, the loop, and the two files that come out of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import torch

from hamba_core.errors import SourceError
from hamba_core.hand import load_generic_hand
from hamba_core.network.small import HambaSmall
from hamba_core.text import counted
from hamba_core.weights import save_small
from pipeline.training.curves import CURVES, draw_curves
from pipeline.training.engine import joined, parted
from pipeline.training.exporting import export_onnx
from pipeline.training.features import features_of
from pipeline.training.hands_picture import draw_hands
from pipeline.training.loop import Progress, Training, progress_line
from pipeline.training.scores import Scores
from pipeline.training.settings import CropData, TrainingSettings
from pipeline.training.table import load_table
from pipeline.training.teaching import Teacher, taught_views
from stages.synthetic.crops import DATA_VERSION, CropSettings, fill_folder

if TYPE_CHECKING:
    from lightning_fabric import Fabric

WEIGHTS: Final = "hamba_s.safetensors"
EXPORTED: Final = "hamba_s.onnx"
CURVES_PICTURE: Final = "curves.png"
HANDS_PICTURE: Final = "hands.png"
"""Names in a run's folder."""

_SECOND_SEEDS: Final = 50_000_000
"""What is added to the first seed for crops of the second hand: a crop is known by its seed."""

_TRAINED_VERTICES: Final = 120
"""Of the skin, whose errors training sees; all joints and tips beside them."""


@dataclass(frozen=True)
class Trained:
    """What a training gave."""

    scores: Scores
    hands: int  # trained on, counting each look at a crop
    parameters: int
    weights: Path
    exported: Path


def train(settings: TrainingSettings, folder: Path, on_step: Callable[[str], None] = lambda step: None) -> Trained:
    """Train in a folder, going on where an earlier call left off. `on_step` is told what takes time.

    Under `torchrun` the processes share each batch. Raises HambaError.
    """
    torch.set_num_threads(settings.threads)
    fabric = joined(settings.device)
    try:
        return _train(settings, folder, fabric, on_step if fabric.is_global_zero else lambda step: None)
    finally:
        parted()


def make_network(settings: TrainingSettings) -> HambaSmall:
    """Return the network to train, without weights. It poses some of the skin only."""
    hand = load_generic_hand()
    random = torch.Generator().manual_seed(0)
    vertices = torch.randperm(len(hand.v_template), generator=random)[:_TRAINED_VERTICES].tolist()
    network = HambaSmall(settings.configuration(), hand, vertices)
    network.use_scan("walk")
    return network


class FeatureFiles(NamedTuple):
    """Files of features, made where they were missing."""

    looks: list[Path]
    """To train on."""
    shards: list[Path]
    """That those are of, one for each."""
    kept_aside: list[Path]
    shards_aside: list[Path]
    """That those are of."""


def feature_files(data: CropData, on_step: Callable[[str], None]) -> FeatureFiles:
    """Return files of features to train on and held-out ones, making those missing. Raises SourceError, OutputError."""
    kept_aside = _shards(data, data.validation_seed, data.validation_shards, on_step)
    shards = _shards(data, data.first_seed, data.shards, on_step)
    if data.take == "all":
        shards += [path for path in sorted(data.folder.glob("crops_*.npz")) if path not in (*shards, *kept_aside)]
    seed, folder = data.first_seed + _SECOND_SEEDS, data.folder / "second"
    shards += _shards(data, seed, data.second, on_step, folder, CropSettings(mesh="second"))
    features = data.folder / "features"
    looked = []
    for variant in range(data.variants):
        for number, shard in enumerate(shards):
            on_step(f"looking at shard {number + 1} of {len(shards)}, variant {variant + 1} of {data.variants}")
            looked.append(features_of(shard, features, variant))
    return FeatureFiles(
        looked, shards * data.variants, [features_of(shard, features) for shard in kept_aside], kept_aside
    )


def _shards(
    data: CropData,
    first_seed: int,
    count: int,
    on_step: Callable[[str], None],
    folder: Path | None = None,
    crops: CropSettings | None = None,
) -> list[Path]:
    paths = []
    for path in fill_folder(folder or data.folder, first_seed, count, data.crops_per_shard, crops):
        paths.append(path)
        on_step(f"rendered shard {len(paths)} of {count}")
    return paths


def _train(settings: TrainingSettings, folder: Path, fabric: "Fabric", on_step: Callable[[str], None]) -> Trained:
    network = make_network(settings)
    if not fabric.is_global_zero:
        fabric.barrier()  # the leading one makes the files
    files = feature_files(settings.data, on_step)
    taught = None
    if settings.teacher is not None:
        teacher = Teacher(settings.teacher, settings.teacher_hand, settings.device)
        taught = taught_views(files.looks, files.shards, teacher, settings.data.folder / "taught", on_step)
    if fabric.is_global_zero:
        fabric.barrier()
    table = load_table(
        files.looks, network, least_presence=settings.least_presence, least_visible=settings.least_visible,
        taught=taught,
    )  # fmt: skip
    aside = load_table(files.kept_aside, network)
    if len(table) < settings.batch:
        raise SourceError(
            f"{settings.data.folder}: expected at least a batch of {settings.batch} hands to train on, found "
            f"{len(table)}; render more shards (data.shards)"
        )
    parameters = sum(parameter.numel() for parameter in network.parameters())
    on_step(f"{counted(len(table), 'hand')} to train on, {len(aside)} kept aside, {parameters} parameters")

    def on_progress(progress: Progress) -> None:
        if progress.scores is not None or progress.step % 50 == 0:
            on_step(progress_line(progress))

    scores = Training(settings, network, table, aside, folder, fabric).run(on_progress)
    weights, exported = folder / WEIGHTS, folder / EXPORTED
    if fabric.is_global_zero:
        origin = {
            "settings": settings.hash(),
            "seed": str(settings.seed),
            "data": DATA_VERSION,
            "hands": str(len(table)),
            **{name: f"{value:.4g}" for name, value in asdict(scores).items()},
        }
        save_small(network, weights, origin)
        on_step("writing the network for ONNX Runtime")
        export_onnx(network, exported)
        draw_hands(network, aside, files.shards_aside, folder / HANDS_PICTURE)
        draw_curves({settings.configuration().head: folder / CURVES}, folder / CURVES_PICTURE)
    fabric.barrier()
    return Trained(scores, len(table), parameters, weights, exported)
