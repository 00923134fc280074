"""Crops that this program renders, as a data set: exact truth, and no licence."""

from bisect import bisect_right
from pathlib import Path

import numpy as np

from hamba_core.errors import SourceError
from pipeline.training.data_sets.hand_data import HandData, HandSample, ManoParameters, truth_of
from pipeline.training.data_sets.pose_space import PoseSpace
from stages.synthetic.crops import Shard, read_shard


class RenderedTraining(HandData):
    """Every crop of the shards in a folder, all right hands. What is posed is the generic hand, and the parameters are
    its own: with `poses`, which says that the network's hand is MANO's, they are not known."""

    def __init__(self, folder: Path, poses: PoseSpace | None = None) -> None:
        self._with_parameters = poses is None
        self._shards: list[Shard] = [read_shard(path) for path in sorted(folder.glob("crops_*.npz"))]
        if not self._shards:
            raise SourceError(
                f"{folder}: expected shards of rendered crops (crops_*.npz), found none; hamba train tiny makes some"
            )
        self._ends = np.cumsum([len(shard) for shard in self._shards]).tolist()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def sample(self, number: int) -> HandSample:
        place = bisect_right(self._ends, number)
        shard = self._shards[place]
        row = number - (self._ends[place] - len(shard))
        return rendered_sample(shard, row, with_parameters=self._with_parameters)


def rendered_sample(shard: Shard, row: int, *, with_parameters: bool = True) -> HandSample:
    """Return one crop of a shard, and what is true of its hand."""
    of = {name: shard.arrays[name][row].astype(np.float64) for name in _COLUMNS}
    parameters = ManoParameters(of["global_orient"], of["hand_pose"], of["betas"]) if with_parameters else None
    truth = truth_of("right", of["joints_2d"], joints=of["joints"], parameters=parameters)
    return HandSample(f"{shard.path.stem} {row}", shard.image(row), truth)


_COLUMNS = ("global_orient", "hand_pose", "betas", "joints", "joints_2d")
