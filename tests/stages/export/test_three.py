"""three.js, in a browser, draws a GLB file's hands where they were recorded."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from math import atan, degrees
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hamba_core.hand import load_generic_hand
from hamba_core.view import Intrinsics
from stages.export.formats.glb.glb_file import export_glb
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection
from stages.packets import Hand

PoseHand = Callable[..., Hand]
MakeTake = Callable[..., Selection]
Mask = NDArray[np.bool_]

GENERIC = load_generic_hand()
CAMERA = Intrinsics.estimate(640, 480)
SCRIPT = Path(__file__).parents[3] / "docs/images/make_export.py"


@pytest.fixture(scope="session")
def three(node_packages: Path) -> Callable[[Path, str], list[Any]]:
    """three(glb, seconds) -> pictures (480, 640, 4) through the recording's camera, by the page that makes ours."""
    if shutil.which("chromium") is None:
        pytest.skip("needs a browser: Chromium is not installed (apt-get install chromium)")
    spec = importlib.util.spec_from_file_location("make_export", SCRIPT)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)  # as where it is run by itself
        spec.loader.exec_module(script)

    def look(glb: Path, seconds: str) -> list[Any]:
        fov = degrees(2 * atan(240 / CAMERA.fy))
        with script.served(glb, node_packages) as address:
            query = f"width=640&height=480&fov={fov}&eye=0,0,0&target=0,0,-1&seconds={seconds}"
            pictures: list[Any] = script.pictures(address, query)
        return pictures

    return look


def silhouette(hands: tuple[Hand, ...]) -> Mask:
    """(480, 640): where hands must be seen."""
    canvas = np.zeros((480, 640), np.uint8)
    for hand in hands:
        corners = np.rint(CAMERA.project(hand.vertices)[GENERIC.faces] - 0.5).astype(np.int32)
        for triangle in corners:
            cv2.fillConvexPoly(canvas, triangle, 255)
    return canvas > 0


def moved(hand: Hand, by: list[float]) -> Hand:
    step = np.array(by, np.float32)
    return replace(hand, translation=hand.translation + step, joints=hand.joints + step, vertices=hand.vertices + step)


@pytest.mark.parametrize("vertices", [False, True])
def test_hands_are_seen_where_they_were_recorded_also_those_that_come_into_view_later(
    three: Callable[[Path, str], list[Any]], pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path, vertices: bool
) -> None:
    frames = []
    for index in range(10):
        right, left = moved(pose_hand(GENERIC, 4), [0.1, 0, 0]), pose_hand(GENERIC, 6, "left", 2)
        entering = moved(left, [-0.05, 0.25 * max(0, 6 - index), 0])  # from below the picture
        frames.append((right,) if index < 3 else (right, entering) if index < 8 else (entering,))
    selection = make_take(GENERIC, frames)
    [path] = export_glb(selection, tmp_path, ExportSettings(vertices=vertices), lambda share: None)
    shown = (0, 4, 7, 9)
    pictures = three(path, ",".join(str(index / 30) for index in shown))
    assert len(pictures) == len(shown)
    for index, picture in zip(shown, pictures, strict=True):
        seen, expected = picture[..., 3] > 127, silhouette(frames[index])
        assert expected.sum() > 3000
        assert (seen & expected).sum() > 0.96 * (seen | expected).sum()
    blue, orange = pictures[3], pictures[0]  # a left hand and a right one, as BGR
    assert blue[blue[..., 3] > 127][:, 0].mean() > 1.5 * blue[blue[..., 3] > 127][:, 2].mean()
    assert orange[orange[..., 3] > 127][:, 2].mean() > 1.5 * orange[orange[..., 3] > 127][:, 0].mean()
