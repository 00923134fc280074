"""A picture of hands that were kept aside: as they are, by the first estimate, and as the network has learned them.

They are seen from the side, along the picture's plane, because that is where a first estimate errs most.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from matplotlib.figure import Figure

from hamba_core.errors import OutputError
from hamba_core.hand import BONES
from hamba_core.metrics import pa_mpjpe
from hamba_core.network.small import HambaSmall
from pipeline.training.table import HandTable
from stages.packets import Image
from stages.synthetic.crops import read_shard

_HANDS: Final = 6
_WELL_SEEN: Final = 0.7  # share of joints
_ROWS: Final = (("by the landmark fit", "#8a93a3"), ("as learned", "#e07b39"))


@torch.inference_mode()
def draw_hands(network: HambaSmall, aside: HandTable, shards: Sequence[Path], picture: Path) -> None:
    """Draw hands that are well seen, evenly taken from the table. `shards` have their crops. Raises OutputError."""
    well = (aside.columns["visible"] > _WELL_SEEN).nonzero()[:, 0]
    if not len(well):
        return
    rows = well[torch.linspace(0, len(well) - 1, min(_HANDS, len(well))).round().long()]
    views, truth = aside.views(rows), aside.truths(rows).hands.joints.numpy()
    _, first, _ = network.posed(views.first, views.focal_length)
    found = (first.numpy(), network(views).joints.numpy())
    images = _crops(shards, aside.columns["crop"][rows].tolist())
    figure = Figure(figsize=(1.9 * len(rows), 5.9), layout="constrained")
    axes = figure.subplots(3, len(rows), squeeze=False)
    for column, image in enumerate(images):
        axes[0, column].imshow(image)
        axes[0, column].set_axis_off()
        for row, (joints, (words, colour)) in enumerate(zip(found, _ROWS, strict=True), 1):
            axis = axes[row, column]
            _draw(axis, truth[column], "#20242c", 3.0)
            _draw(axis, joints[column], colour, 1.6)
            error = 1000 * float(pa_mpjpe(joints[column], truth[column]))
            axis.set_title(f"{words}: {error:.1f} mm" if column == 0 else f"{error:.1f} mm", fontsize=8)
            axis.set_aspect("equal")
            axis.set_axis_off()
    figure.suptitle("Hands kept aside, from the side: black as they are; PA-MPJPE", fontsize=9)
    try:
        figure.savefig(picture, dpi=110)
    except OSError as failure:
        raise OutputError(f"{picture}: cannot be written: {failure}; give a folder with room in it") from failure


def _crops(shards: Sequence[Path], seeds: Sequence[int]) -> list[Image]:
    """Return the crops of these seeds, each read from the shard that has it."""
    found: dict[int, Image] = {}
    for path in shards:
        shard = read_shard(path)
        places = {int(seed): place for place, seed in enumerate(shard.arrays["seed"])}
        found |= {seed: shard.image(places[seed]) for seed in seeds if seed in places}
    return [found[seed] for seed in seeds]


def _draw(axis: Any, joints: Any, colour: str, width: float) -> None:
    """Draw joints (21, 3), m, of a view: away from the camera to the right, down as in the picture."""
    for parent, child in BONES:
        ends = joints[[parent, child]]
        axis.plot(ends[:, 2], -ends[:, 1], color=colour, linewidth=width, solid_capstyle="round")
    axis.plot(*np.zeros((2, 1)), ".", color=colour)
