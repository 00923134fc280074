"""MediaPipe's hand-landmark network looks at crops of hands; ONNX Runtime runs it on the CPU.

    network = HandNetwork()
    look = network.look(crops, maps=True)      # crops (N, 224, 224, 3) uint8 RGB, see `hand_crop`
    look.landmarks, look.world, look.presence, look.right, look.maps

The network was trained on hands that point up in their crops. It knows both sides, but each a little differently: a
left hand shown mirrored, as a right one, gives just what its mirror image gives.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array
from hamba_core.errors import PacketError
from stages.assets import LANDMARK_NETWORK, LANDMARK_NETWORK_SHA256
from stages.detection.onnx_session import open_session
from stages.packets import Image

CROP_SIDE: Final = 224
"""Pixels along a side of the network's crops."""

_ANSWER: Final = ("landmarks", "world", "presence", "right")
_MAPS: Final = ("map_28", "map_14", "map_7", "pooled")


class FeatureMaps(NamedTuple):
    """What the network's last layers are computed from, of N crops; channels first, rows from the top."""

    fine: Float32Array  # (N, 40, 28, 28): a place is 8 px wide
    middle: Float32Array  # (N, 112, 14, 14): 16 px
    coarse: Float32Array  # (N, 192, 7, 7): 32 px
    pooled: Float32Array  # (N, 1152): one vector for the crop


class Look(NamedTuple):
    """What the network says of N crops."""

    landmarks: Float32Array  # (N, 21, 3): x, y in px of the crop, the origin at its corner; z in px too, nearer is less
    world: Float32Array  # (N, 21, 3) m, the crop's axes (x right, y down, z forward), origin at the hand's own centre
    presence: Float32Array  # (N,) 0 to 1: how likely there is a hand
    right: Float32Array  # (N,) 0 to 1: how likely it is a right hand, as it is shown
    maps: FeatureMaps | None  # where they were asked for


class HandNetwork:
    """The network, loaded. Use it from one thread at a time.

    Raises DependencyError, WeightsError where it cannot be loaded.
    """

    def __init__(self) -> None:
        self._session: Any = open_session(LANDMARK_NETWORK, LANDMARK_NETWORK_SHA256)

    def look(self, crops: Image, *, maps: bool = False) -> Look:
        """Return what the network says of crops (N, 224, 224, 3), RGB; the maps are in it if they are wanted.

        Each crop costs the same.
        Raises PacketError for crops of another shape or type.
        """
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (CROP_SIDE, CROP_SIDE, 3):
            raise PacketError(
                f"crops: expected uint8 (N, {CROP_SIDE}, {CROP_SIDE}, 3), found {crops.dtype} {crops.shape}; "
                "cut them with stages.detection.hand_crop"
            )
        names = _ANSWER + _MAPS if maps else _ANSWER
        given: list[NDArray[np.float32]] = self._session.run(names, {"crops": np.ascontiguousarray(crops)})
        landmarks, world, presence, right, *inner = given
        return Look(landmarks, world, presence, right, FeatureMaps(*inner) if maps else None)
