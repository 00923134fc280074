import av
import numpy as np
import pytest
from numpy.typing import NDArray

from stages.packets import Image
from stages.sources.decoding.pixels import PixelConverter
from stages.sources.decoding.wide_colour import BT2020, HLG, PQ, ordinary, tone_curve

# ITU-R BT.2087: linear BT.709 to BT.2020.
BT2020_FROM_BT709 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signal of light in cd/m2, SMPTE ST 2084, equation 5.2."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = (light / 10000) ** m1
    return np.asarray(((c1 + c2 * y) / (1 + c3 * y)) ** m2)


def hlg(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signal of light in cd/m2 on a screen of 1000, ITU-R BT.2100, table 5."""
    scene = (light / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


SIGNALS = {PQ: pq, HLG: hlg}


@pytest.mark.parametrize("transfer", SIGNALS)
def test_the_curve_rises_and_keeps_what_is_darker_than_the_knee(transfer: int) -> None:
    curve = tone_curve(transfer).astype(int)
    assert (np.diff(curve) >= 0).all()
    assert curve[0] == 0
    assert curve[-1] == 255
    for shown in (60, 120, 180):
        light = 203 * np.array((shown / 255) ** 2.2)
        assert curve[round(float(255 * SIGNALS[transfer](light)))] == pytest.approx(shown, abs=4)


@pytest.mark.parametrize("transfer", SIGNALS)
def test_ordinary_white_is_bright_and_what_is_brighter_still_differs(transfer: int) -> None:
    curve = tone_curve(transfer)
    white, twice = (curve[round(float(255 * SIGNALS[transfer](np.array(light))))] for light in (203.0, 406.0))
    assert 215 < white < twice <= 255


@pytest.mark.parametrize("transfer", SIGNALS)
def test_a_picture_that_was_made_hdr_comes_back_in_its_colours(transfer: int) -> None:
    colours = np.array([(180, 120, 100), (120, 80, 60), (90, 110, 70), (60, 70, 120), (150, 150, 150), (20, 20, 20)])
    light = 203 * ((colours / 255) ** 2.2 @ BT2020_FROM_BT709.T)
    coded = np.repeat(np.round(255 * SIGNALS[transfer](light)).astype(np.uint8)[None], 4, 0)
    assert np.abs(ordinary(coded, transfer, BT2020).astype(int) - colours).max() <= 12


def test_ordinary_pictures_pass_untouched() -> None:
    image: Image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert ordinary(image, 1, 1) is image
    assert ordinary(image, 2, 2) is image


def test_frames_are_made_ordinary_by_what_they_say_of_themselves() -> None:
    frame = av.VideoFrame(64, 48, "yuv420p10le")
    for plane, value in zip(frame.planes, (64 + 876 * 0.58, 512, 512), strict=True):
        np.frombuffer(plane, np.uint16)[:] = round(value)  # type: ignore[call-overload]
    frame.colorspace, frame.color_range, frame.color_primaries = 9, 1, BT2020
    levels = []
    for transfer in (1, PQ):
        frame.color_trc = transfer
        levels.append(int(PixelConverter(8192).picture(frame)[10, 10].mean()))
    assert levels[0] == pytest.approx(148, abs=3)
    assert 215 < levels[1] < 250
