"""What was not seen is drawn as what it is: dimmed, and called so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from stages.overlay.overlay import Overlay, OverlaySettings, label_of
from stages.packets import FrameResult, Hand, RunInfo

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]


def drawn(folder: Path, run: RunInfo, result: FrameResult) -> np.ndarray:
    overlay = Overlay(folder / "overlay.mp4", OverlaySettings(labels=False), stills=True)
    overlay.open(run)
    overlay.write(result)
    overlay.close()
    (file,) = folder.glob("overlay*.jpg")
    picture = cv2.imread(str(file))
    assert picture is not None
    return picture.astype(float)


def test_a_hand_that_was_not_seen_lets_the_picture_through(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    grey = np.full((480, 640, 3), 128, np.uint8)
    result = make_result(hands=1, image=grey)
    unseen = replace(result, hands=(replace(result.hands[0], seen=False),))
    pictures = []
    for name, each in (("seen", result), ("unseen", unseen)):
        (tmp_path / name).mkdir()
        pictures.append(np.abs(drawn(tmp_path / name, make_run(), each) - 128))
    seen, dim = pictures
    hand = seen.max(2) > 60
    assert hand.mean() > 0.01
    assert dim[hand].mean() < 0.6 * seen[hand].mean()
    assert dim[hand].mean() > 5, "it is there all the same"
    assert (grey == 128).all(), "the run's own picture stays as it was"


def test_labels_tell_quality_or_that_a_hand_was_not_seen(make_hand: Callable[..., Hand]) -> None:
    hand = make_hand(side="left", track_id=4)
    assert label_of(replace(hand, quality=0.934)) == "left 4  93%"
    assert label_of(replace(hand, quality=None)) == "left 4"
    assert label_of(replace(hand, seen=False, quality=0.0)) == "left 4  not seen"
