"""What can be chosen about training crops."""

from dataclasses import dataclass, field
from typing import Literal

from stages.synthetic.crops.figure import MeshName
from stages.synthetic.crops.framing import Jitter

DATA_VERSION = "crops-2"
"""Changes whenever the same seed gives another crop; shards of two versions are not mixed."""


@dataclass(frozen=True)
class CropSettings:
    """How crops are made. The defaults are what hamba-s is trained on."""

    size: int = 224
    """Pixels along a crop's side."""
    jitter: Jitter = field(default_factory=Jitter)
    """How far the first look that frames the hand is off."""
    mesh: MeshName = "generic"
    """Which hand is drawn: the generic one, or the second, of another mesh, so that no network learns one by heart."""
    border: Literal["black", "edge"] = "black"
    """What a crop shows beyond its picture."""
