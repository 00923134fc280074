"""Tell of every joint of a hand how likely it is in sight: evidence, weighed by a logistic curve.

The weights are fitted to synthetic pictures, of which the truth is known; `make/calibration.py` does it, and
`docs/visibility.md` has what it is worth on others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES
from stages.packets import FrameMeta, Hand, HandBox, Image
from stages.reconstruction.visibility.evidence import NAMES, evidence

WEIGHTS: Final = Path(__file__).with_name("weights.txt")
LEAST: Final = 0.01
"""Nothing is more certain than this."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A logistic curve over the evidence."""

    of_evidence: Array  # (len(NAMES),)
    of_joints: Array  # (21,) constants

    def likely(self, given: Array) -> Array:
        """Return how likely joints are in sight (..., 21), 0 to 1, given the evidence (..., 21, len(NAMES))."""
        certain = 1 / (1 + np.exp(-(given @ self.of_evidence + self.of_joints)))
        return np.asarray(np.clip(certain, LEAST, 1 - LEAST))

    def write(self, path: Path) -> None:
        """Write them as text, a name and a number a line."""
        lines = [f"{value:+.4f} {name}" for name, value in zip(NAMES, self.of_evidence, strict=True)]
        lines += [f"{value:+.4f} {name}" for name, value in zip(JOINT_NAMES, self.of_joints, strict=True)]
        path.write_text("\n".join(lines) + "\n")


@cache
def shipped_weights() -> Weights:
    """Return the weights that ship; what they do not name, as before they are fitted anew, weighs nothing."""
    known = {
        name: float(value) for value, name in (line.split(maxsplit=1) for line in WEIGHTS.read_text().splitlines())
    }
    return Weights(*(np.array([known.get(name, 0.0) for name in names]) for names in (NAMES, JOINT_NAMES)))


def with_visibility(hands: Sequence[Hand], boxes: Sequence[HandBox], meta: FrameMeta, image: Image) -> tuple[Hand, ...]:
    """Return a frame's hands with their `visibility` (21,), where they have none yet; boxes are found by track."""
    if not hands:
        return ()
    of_track = {box.track_id: box for box in boxes}
    given = evidence(hands, [of_track.get(hand.track_id) for hand in hands], meta, image)
    likely = shipped_weights().likely(given)
    outside = given[:, :, NAMES.index("inside")] < 0
    # What is beyond the picture is not in it: there is nothing to weigh, but for the hand's own error at the border.
    likely = np.where(outside, np.minimum(likely, 0.5), likely).astype(np.float32)
    return tuple(
        hand if hand.visibility is not None else replace(hand, visibility=seen)
        for hand, seen in zip(hands, likely, strict=True)
    )
