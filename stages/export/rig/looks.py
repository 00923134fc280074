"""What a scene calls each hand, and its colour."""

from collections.abc import Sequence

import numpy as np

from stages.common.palette import hand_colour
from stages.common.srgb import to_linear
from stages.export.tracks import Track


def name_of(track: Track) -> str:
    """Return a name as in "hand 1 left", after the name of its picture if it is in a single one."""
    return f"{track.picture} hand {track.id} {track.side}".lstrip()


def linear_colours(tracks: Sequence[Track]) -> list[list[float]]:
    """Return a colour for each track by its side, linear RGB 0..1. Hands of one side that meet differ."""
    colours, ranks = [], [0] * len(tracks)
    for i, track in enumerate(tracks):
        taken = {ranks[j] for j, other in enumerate(tracks[:i]) if other.side == track.side and _meet(track, other)}
        ranks[i] = next(rank for rank in range(i + 1) if rank not in taken)
        encoded = np.array(hand_colour(track.side, ranks[i])) / 255
        colours.append(to_linear(encoded).round(4).tolist())
    return colours


def _meet(one: Track, other: Track) -> bool:
    return one.first_pts <= other.last_pts and other.first_pts <= one.last_pts
