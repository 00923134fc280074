"""RHD, the Rendered Handpose Dataset (Zimmermann and Brox, ICCV 2017), `RHD_published_v2`: two hands a picture.

training/color/00000.png ...   training/anno_training.pickle
"""

from pathlib import Path

import numpy as np

from hamba_core.arrays import AnyArray
from hamba_core.errors import SourceError, error_reason
from hamba_core.hand import Side
from hamba_core.untrusted import NotArraysError, read_pickled_records
from pipeline.evaluation import read_image
from pipeline.training.data_sets.hand_data import HandData, HandSample, from_tips, inside, numbers, truth_of
from pipeline.training.data_sets.pose_space import PoseSpace

_FIRST: dict[Side, int] = {"left": 0, "right": 21}  # joint of each side; its fingers begin at the tip
_SEEN = 11  # joints that are seen of a hand at least


class RhdTraining(HandData):
    """Every hand of which half the joints are seen. Poses and shapes are not known."""

    def __init__(self, folder: Path, poses: PoseSpace | None = None) -> None:
        self._folder = folder / "training"
        path = self._folder / "anno_training.pickle"
        try:
            self._records = read_pickled_records(path.read_bytes(), ("uv_vis", "xyz", "K"))
        except (OSError, NotArraysError) as error:
            raise SourceError(
                f"{path}: expected RHD's annotations, found: {error_reason(error)}; unpack its archive"
            ) from error
        self._hands = [
            (number, side)
            for number, record in sorted(self._records.items())
            for side in _FIRST
            if _rows(record, "uv_vis", side, number)[:, 2].sum() >= _SEEN
        ]

    def __len__(self) -> int:
        return len(self._hands)

    def sample(self, number: int) -> HandSample:
        picture, side = self._hands[number]
        record = self._records[picture]
        pixels, joints = (_rows(record, name, side, picture) for name in ("uv_vis", "xyz"))
        image = read_image(self._folder / "color" / f"{picture:05d}.png")
        within = inside(pixels[:, :2], image)
        return HandSample(f"{picture:05d} {side}", image, truth_of(side, pixels[:, :2], within, joints))


def _rows(record: dict[str, AnyArray], name: str, side: Side, number: int) -> AnyArray:
    """Return one hand's rows of (42, 3) in the joint order."""
    if name not in record:
        raise SourceError(f"RHD, picture {number}: expected {name}, found {', '.join(record)}")
    both = numbers(record[name], (42, 3), f"RHD, picture {number}, {name}")
    rows: AnyArray = from_tips(both[_FIRST[side] : _FIRST[side] + 21])
    return np.asarray(rows, np.float64)
