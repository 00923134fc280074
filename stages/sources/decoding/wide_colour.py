"""Pictures with more brightness and colour than ordinary screens have, HDR and BT.2020, become ordinary RGB.

Phones film so unasked. Shown as they are, such pictures are grey and flat. The way here is the quick one, on eight
bits: a curve for each channel, then BT.2020's primaries to BT.709's on the coded values. Compared with doing the latter
on linear light, it is no farther from the original and takes a fifth of the time.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stages.packets import Image

PQ, HLG = 16, 18
"""AVColorTransferCharacteristic of SMPTE ST 2084 (HDR10) and of ARIB STD-B67 (phones)."""
BT2020 = 9
"""AVColorPrimaries of ITU-R BT.2020."""

_WHITE = 203.0  # cd/m2 that ordinary white has in HDR, ITU-R BT.2408
_PEAK = 1000.0  # cd/m2, what is brighter is white
_KNEE = 0.6  # of white: what is darker keeps its brightness, the rest is pressed together
_GAMMA = 2.2
# ITU-R BT.2087, section 4.
_BT709_FROM_BT2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


def ordinary(image: Image, transfer: int, primaries: int) -> Image:
    """Return the picture as ordinary RGB; unchanged if these two of FFmpeg's numbers say that it already is that."""
    if transfer not in (PQ, HLG) and primaries != BT2020:
        return image
    import cv2

    if transfer in (PQ, HLG):
        image = np.asarray(cv2.LUT(image, tone_curve(transfer)), np.uint8)
    if primaries == BT2020:
        image = np.asarray(cv2.transform(image, _BT709_FROM_BT2020), np.uint8)
    return image


@cache
def tone_curve(transfer: int) -> Image:
    """Return a table of 256 values on an ordinary screen, one for each signal of a channel."""
    light = _light_of_pq() if transfer == PQ else _light_of_hlg()
    share = light / _WHITE
    room, excess = 1 - _KNEE, _PEAK / _WHITE - _KNEE
    bright = np.clip((share - _KNEE) / excess, 0, 1)
    # The curve leaves the knee with the slope 1 and arrives at the peak with none.
    pressed = _KNEE + room * (1 - (1 - bright) ** (excess / room))
    shown = np.where(share < _KNEE, share, pressed)
    return np.round(255 * shown ** (1 / _GAMMA)).astype(np.uint8)


def _light_of_pq() -> NDArray[np.float64]:
    """Return the cd/m2 of each signal, SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = np.linspace(0, 1, 256) ** (1 / m2)
    return np.asarray(10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1))


def _light_of_hlg() -> NDArray[np.float64]:
    """Return the cd/m2 of signals on a screen of this peak, ITU-R BT.2100: its inverse curve, then its system gamma."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = np.linspace(0, 1, 256)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return np.asarray(_PEAK * scene**1.2)
