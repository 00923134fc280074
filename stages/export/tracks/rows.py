"""A row is one hand in one frame: what exporters read, as a structured array."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array
from stages.packets import EVENT_KINDS, FrameMeta, FrameResult, Hand

ROW: Final = np.dtype(
    [
        ("frame", "<i8"),  # the source's count; of resampled rows, theirs
        ("pts", "<f8"),  # s
        ("camera", "<f4", 4),  # fx, fy, cx, cy, px
        ("T_world_camera", "<f8", (4, 4)),  # where the camera stands; NaN where it is not known
        ("valid", "?"),  # whether the hand is there; all that follows is NaN where it is not
        ("score", "<f4"),
        ("box", "<f4", 4),
        ("global_orient", "<f4", (3, 3)),
        ("hand_pose", "<f4", (15, 3, 3)),
        ("betas", "<f4", 10),
        ("translation", "<f4", 3),
        ("joints", "<f4", (21, 3)),
        ("joints_2d", "<f4", (21, 2)),
        ("seen", "<f4"),  # 1 where it was seen, 0 where it was extrapolated
        ("quality", "<f4"),  # NaN where it is not known, as the next
        ("translation_std", "<f4", 3),
        ("visibility", "<f4", 21),
        ("events", "<f4", len(EVENT_KINDS)),  # confidence of each of `EVENT_KINDS`; 0 where the hand does not do it
    ]
)
"""One hand in one frame; fields as in `packets.Hand`."""

_OF_FRAME: Final = ("frame", "pts", "camera", "T_world_camera", "valid")
HAND_FIELDS: Final = tuple(name for name in ROW.names or () if name not in _OF_FRAME)

_NO_HAND: Final = np.zeros(1, ROW)
for _field in (*HAND_FIELDS, "T_world_camera"):
    _NO_HAND[_field] = np.nan

_LEAST: Final = 1e-3
"""The confidence of an event that is there, at least: 0 stands for none."""

Rows = NDArray[Any]
"""A structured array of dtype `ROW`."""


def empty_row(frame: FrameMeta) -> Rows:
    """Return a row (1,) without a hand."""
    row, camera = _NO_HAND.copy(), frame.camera
    row["frame"], row["pts"], row["camera"] = frame.index, frame.pts, (camera.fx, camera.fy, camera.cx, camera.cy)
    if frame.world is not None:
        row["T_world_camera"] = frame.world.T_world_camera
    return row


def events_of(hand: Hand, result: FrameResult) -> Float32Array:
    """Return the confidence (5,) of what a hand does in a frame, in the order of `EVENT_KINDS`; 0 for what it does not.

    One that has just ended does not count.
    """
    found = np.zeros(len(EVENT_KINDS), np.float32)
    for event in result.events:
        if (event.track_id, event.side) == (hand.track_id, hand.side) and event.phase != "end":
            found[EVENT_KINDS.index(event.kind)] = max(event.confidence, _LEAST)
    return found
