"""What a camera and its codec make of linear light: blur, exposure, colour, grain, sharpening, compression."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.synthetic.crops.draws import chance, log_uniform
from stages.synthetic.crops.noise import FloatArray

Picture = NDArray[np.uint8]


CURVE, BRIGHTEST = 8191, 4.0
"""Steps of the tone curve, and the light that it ends at."""
SHARPEST = 0.5
"""Pixels that the sharpest lens blurs by."""


def streak(length: float, angle: float) -> FloatArray:
    """Return a kernel that smears over `length` pixels along `angle`, radians."""
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    dx, dy = np.cos(angle) * length / 2, np.sin(angle) * length / 2
    ends = np.round((np.array([[-dx, -dy], [dx, dy]]) + half) * 16).astype(int)
    cv2.line(kernel, tuple(ends[0].tolist()), tuple(ends[1].tolist()), 1.0, 1, cv2.LINE_AA, 4)
    return np.asarray(kernel / kernel.sum(), np.float32)


def moved(layer: FloatArray, side: float, rng: np.random.Generator) -> FloatArray:
    """Blur a layer as if the hand moved while the shutter is open; one of four does. `side` is the crop's, px."""
    if not chance(rng, 0.25):
        return layer
    length = side * log_uniform(rng, 0.01, 0.09)
    return np.asarray(cv2.filter2D(layer, -1, streak(length, rng.uniform(0, np.pi))), np.float32)


def developed(light: FloatArray, covered: FloatArray, side: float, rng: np.random.Generator) -> Picture:
    """Return the picture (height, width, 3), RGB, of linear light; `side` is the crop's in this picture, px.

    `covered` (height, width) says where hands are: what the exposure is mostly set for.
    """
    # No lens is sharper than its pixels; some are soft or out of focus.
    soft = side * log_uniform(rng, 0.0015, 0.012) if chance(rng, 0.45) else 0.0
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), float(np.hypot(SHARPEST, soft))))
    luma = light @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    of_hand = float((luma * covered).sum() / max(float(covered.sum()), 1.0))
    weight = rng.uniform(0.2, 0.8)
    metered = np.exp(weight * np.log(of_hand + 0.01) + (1 - weight) * np.log(float(luma.mean()) + 0.01))
    light = light * np.float32(0.22 * np.exp(rng.normal(0, 0.4)) / metered)
    light = light * np.exp(rng.normal(0, [0.08, 0.02, 0.10])).astype(np.float32)  # white balance that is off
    noise = log_uniform(rng, 0.002, 0.045) if chance(rng, 0.75) else 0.0
    if noise:
        light = light + _grain(light, noise, rng)
    tones = _tone_curve(rng)[(np.clip(light, 0, BRIGHTEST) * np.float32(CURVE / BRIGHTEST)).astype(np.int32)]
    if chance(rng, 0.4):
        grey = tones.mean(2, keepdims=True)
        tones = grey + (tones - grey) * np.float32(0.0 if chance(rng, 0.06) else rng.uniform(0.4, 1.4))
    if chance(rng, 0.3):  # a webcam's sharpening
        smooth = np.asarray(cv2.GaussianBlur(tones, (0, 0), rng.uniform(0.7, 1.6)), np.float32)
        tones = tones + np.float32(rng.uniform(0.3, 1.3)) * (tones - smooth)
    picture = np.round(np.clip(tones, 0, 1) * 255).astype(np.uint8)
    return compressed(picture, rng) if chance(rng, 0.85) else picture


def _tone_curve(rng: np.random.Generator) -> FloatArray:
    """Return the tones 0..1 (CURVE + 1,) of light from 0 to BRIGHTEST: highlights rolled off, gamma, contrast."""
    light = np.linspace(0, BRIGHTEST, CURVE + 1)
    shoulder = rng.uniform(0, 0.35)
    light = np.clip(light * (1 + shoulder) / (1 + shoulder * light), 0, 1)
    tones = light ** (1 / rng.uniform(1.9, 2.5))
    return np.clip((tones - 0.45) * rng.uniform(0.8, 1.25) + 0.45, 0, 1).astype(np.float32)


def _grain(light: FloatArray, size: float, rng: np.random.Generator) -> FloatArray:
    """Return a sensor's noise, partly smeared by its denoising: more in the light, relatively more in the dark."""
    height, width = light.shape[:2]
    grain = (rng.random((height, width, 3), np.float32) - np.float32(0.5)) * np.float32(12**0.5)
    if chance(rng, 0.5):
        grain = grain * np.float32(0.5) + grain.mean(2, keepdims=True)
    if chance(rng, 0.5):
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.8)) * np.float32(2.2)
    return np.asarray(grain * np.float32(size) * np.sqrt(np.clip(light, 0.002, 1)), np.float32)


def compressed(picture: Picture, rng: np.random.Generator) -> Picture:
    """Return the picture after JPEG of a quality between a bad stream's and a photograph's."""
    quality = int(100 - log_uniform(rng, 3, 65))
    _, packed = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()
