"""What hamba-s is given of a hand.

All of it is in the *view*: the camera that looks straight at the middle of the hand's crop, turned as the crop is, and
mirrored for a left hand, so that the network sees right hands only. A place in the view is given in half crops from the
middle: focal length x / z and y / z of a point, the focal length in half crops too.
"""

from typing import NamedTuple

from torch import Tensor


class FirstEstimate(NamedTuple):
    """B right hands that the network corrects, as the analytic fit to the landmarks has them."""

    rotations: Tensor  # (B, 16, 3, 3), model order, the wrist's first
    betas: Tensor  # (B, 10)
    wrist: Tensor  # (B, 3) m: where the wrist is


class HandViews(NamedTuple):
    """B right hands in their views."""

    tokens: Tensor  # (B, 21, sum of the maps' channels): see `sample_maps`
    pooled: Tensor  # (B, 1152)
    coarse: Tensor  # (B, 192, 7, 7); seen by the joint regressor alone, else of any size
    landmarks: Tensor  # (B, 21, 3): x, y in half crops, as the view has them; z in half crops, nearer is less
    world: Tensor  # (B, 21, 3) m, the view's axes, any origin
    focal_length: Tensor  # (B,), half crops
    first: FirstEstimate
