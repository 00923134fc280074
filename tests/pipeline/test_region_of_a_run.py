"""A run on a region of the picture gives hands where they are in the whole one, in metres, and shifted, in pixels."""

from itertools import islice

import numpy as np

from pipeline import track_hands
from pipeline.settings import load_settings
from stages.assets import CLIP
from stages.packets import FrameResult

FRAMES = 25
RIGHT, BOTTOM = 0.6, 0.9  # shares


def results(overrides: list[str]) -> list[FrameResult]:
    hands = track_hands(str(CLIP), load_settings("offline", [*overrides, "reconstruct.estimator=hamba-s"]))
    with hands:
        return list(islice(hands, FRAMES))


def test_hands_are_where_they_are_in_the_whole_picture() -> None:
    whole = results([])
    width, height = whole[0].frame.width, whole[0].frame.height
    left, top = round(0.05 * width), round(0.1 * height)
    part = results([f"source.region=0.05,0.1,{RIGHT - 0.05},{BOTTOM - 0.1}"])
    assert part[0].image is not None
    assert part[0].image.shape[:2] == (round(BOTTOM * height) - top, round(RIGHT * width) - left)
    metres, pixels = [], []
    for one, other in zip(whole, part, strict=True):
        for hand in other.hands:
            same = next((each for each in one.hands if each.side == hand.side), None)
            if same is not None:
                metres.append(np.linalg.norm(same.joints - hand.joints, axis=1).mean())
                pixels.append(np.linalg.norm(same.joints_2d - (left, top) - hand.joints_2d, axis=1).mean())
    assert len(metres) >= FRAMES // 2
    assert np.median(metres) < 0.002
    assert np.median(pixels) < 0.5
