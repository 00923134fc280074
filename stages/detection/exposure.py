"""Dark pictures are shown to the networks as a longer exposure would have them: networks know little of the dark."""

from typing import Final

import cv2
import numpy as np

from stages.packets import Image

_BRIGHT: Final = 224
"""What the brightest of a picture should come to, of 255. Pictures that are as bright stay as they are."""
_MOST: Final = 24.0
"""The largest factor: beyond it there is only noise."""
_STEP: Final = 2  # px; as many are passed over in measuring


def exposed(picture: Image, brightest: float) -> Image:
    """Return a picture (H, W, 3) multiplied so that the `brightest` share of it, 0 to 1, is bright; never darker.

    The factor goes on smoothly from 1, so that a video that gets dark does not flicker.
    """
    light = picture[::_STEP, ::_STEP].max(-1)
    bright = np.partition(light, place := int(light.size * (1 - brightest)), axis=None)[place]
    if bright >= _BRIGHT:
        return picture
    return np.asarray(cv2.convertScaleAbs(picture, alpha=min(_BRIGHT / max(float(bright), 1.0), _MOST)), np.uint8)
