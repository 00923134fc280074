"""All hands of a training in memory, as tensors with a hand a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from hamba_core.arrays import Float32Array
from hamba_core.errors import SourceError
from hamba_core.network.small import FirstEstimate, HambaSmall, HandViews, SmallOutput
from hamba_core.training import HandTruths
from hamba_core.untrusted import DocumentError, load_arrays

_COLUMNS = (
    "tokens", "pooled", "landmarks", "world", "focal_length", "first_rotations", "first_betas", "first_wrist",
    "presence", "first_error", "rotations", "betas", "wrist", "visible", "crop",
)  # fmt: skip
_WORST_FIRST = 0.25  # of the hand's size: a first estimate that is no hand's
_NEAREST = 0.05  # m
_NONE = -1
_POSED_TOGETHER = 500


@dataclass(frozen=True, eq=False)
class HandTable:
    """Columns as `features.compute_features` makes them, and what follows from the truth."""

    columns: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.columns["focal_length"])

    def views(self, rows: Tensor) -> HandViews:
        """Return what the network is given of these hands."""
        of = {name: column[rows].float() for name, column in self.columns.items() if name in HandViews._fields}
        empty = torch.zeros(len(rows), 0, 0, 0)
        first = FirstEstimate(*(self.columns[f"first_{name}"][rows] for name in FirstEstimate._fields))
        return HandViews(coarse=of.pop("coarse", empty), first=first, **of)

    def truths(self, rows: Tensor) -> HandTruths:
        """Return what is true of these hands."""
        hands = SmallOutput(*(self.columns[name][rows] for name in SmallOutput._fields))
        crop, place = self.columns["crop"][rows], torch.arange(len(rows))
        others = (crop[:, None] == crop) & (place[:, None] != place)
        partner = torch.where(others.any(1), others.int().argmax(1), place)
        taught = self.columns["taught"][rows] if "taught" in self.columns else None
        return HandTruths(hands, self.columns["visible"][rows], partner, taught)

    def with_partners(self, rows: Tensor) -> Tensor:
        """Return each row, followed by that of the next look at the same crop where there is one."""
        pairs = torch.stack([rows, self._next_look[rows]], 1)
        return pairs[pairs != _NONE]

    @cached_property
    def _next_look(self) -> Tensor:
        """For each row another with the same crop, in a ring; `_NONE` where there is none."""
        rings: dict[int, list[int]] = {}
        for row, crop in enumerate(self.columns["crop"].tolist()):
            rings.setdefault(crop, []).append(row)
        following = torch.full((len(self),), _NONE)
        for ring in rings.values():
            if len(ring) > 1:
                following[ring] = torch.tensor(ring[1:] + ring[:1])
        return following

    def importance(self, rows: Tensor) -> Tensor:
        """Return the share of the joints (B,) that are seen."""
        return self.columns["visible"][rows]


def load_table(
    files: Sequence[Path],
    network: HambaSmall,
    *,
    least_presence: float = 0.0,
    least_visible: float = 0.0,
    taught: Sequence[Float32Array] | None = None,
) -> HandTable:
    """Return the hands in files of features that can be learned from, posed as the network's hand layer poses them.

    `taught` are a teacher's joints (N, 21, 3) for each file, m from the wrist in the looks' views.
    Raises SourceError where none is left.
    """
    names = (*_COLUMNS, "coarse") if network.regressor is not None else _COLUMNS
    parts: list[dict[str, Tensor]] = []
    for number, path in enumerate(files):
        try:
            arrays = load_arrays(path)
            part = {name: torch.from_numpy(arrays[name]) for name in names}
        except (OSError, DocumentError, KeyError, TypeError) as error:
            raise SourceError(f"{path}: expected features, found: {error}; remove the file") from error
        if taught is not None:
            part["taught"] = torch.from_numpy(taught[number])
        sane = (part["first_error"] < _WORST_FIRST) & (part["first_wrist"][:, 2] > _NEAREST)
        seen = (part["presence"] >= least_presence) & (part["visible"] >= least_visible)
        kept = (sane & seen & (part["wrist"][:, 2] > _NEAREST)).nonzero()[:, 0]
        parts.append({name: column[kept] for name, column in part.items()})
    columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}
    if not parts or not len(columns["wrist"]):
        raise SourceError(
            f"{len(files)} files of features: expected hands to learn from, found none; lower least_presence and "
            "least_visible, or give more crops"
        )
    return HandTable(columns | _posed(columns, network))


@torch.no_grad()
def _posed(columns: dict[str, Tensor], network: HambaSmall) -> dict[str, Tensor]:
    """Return joints and vertices, m, from the wrist, and joints in half crops, of the true hands."""
    posed: list[tuple[Tensor, ...]] = []
    for first in range(0, len(columns["wrist"]), _POSED_TOGETHER):
        rows = slice(first, first + _POSED_TOGETHER)
        hands = FirstEstimate(columns["rotations"][rows], columns["betas"][rows], columns["wrist"][rows])
        posed.append(network.posed(hands, columns["focal_length"][rows]))
    vertices, joints, joints_2d = (torch.cat(part).clone() for part in zip(*posed, strict=True))
    return {"vertices": vertices, "joints": joints, "joints_2d": joints_2d}
