"""Makes gallery-works.jpg and gallery-hard.jpg: frames of the shipped clip, plain and made hard, with what is found.

python docs/images/make_gallery.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from stages.assets import CLIP

HERE = Path(__file__).parent
TILE = (480, 360)


def frames() -> list[Any]:
    with av.open(str(CLIP)) as clip:
        return [frame.to_ndarray(format="bgr24") for frame in clip.decode(video=0)]


def pictures() -> dict[str, dict[str, Any]]:
    """Pictures by what is to be seen on them; rows of the page."""
    clip = frames()
    middle = clip[100]
    width = middle.shape[1]
    tiny = np.full_like(middle, 90)
    small = cv2.resize(middle, None, fx=0.18, fy=0.18, interpolation=cv2.INTER_AREA)
    tiny[200 : 200 + small.shape[0], 260 : 260 + small.shape[1]] = small
    return {
        "works": {
            "open hands": clip[245],
            "an OK sign": clip[30],
            "a fist, two fingers": clip[75],
            "at half the light": (middle * 0.5).astype(np.uint8),
            "turned by 90 degrees": cv2.rotate(middle, cv2.ROTATE_90_CLOCKWISE),
            "half its size": cv2.resize(middle, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        },
        "hard": {
            "cut by the border": middle[:, width // 4 : width // 4 + 300],
            "very small": tiny,
            "five exposures in one": np.mean(clip[140:165:6], 0).astype(np.uint8),
            "nearly dark": (middle * 0.06).astype(np.uint8),
            "noise": np.clip(middle + np.random.default_rng(0).normal(0, 70, middle.shape), 0, 255).astype(np.uint8),
            "fills the picture": cv2.resize(middle[130:330, 400:600], None, fx=3, fy=3),
        },
    }


def drawn(shots: dict[str, Any]) -> Any:
    """These pictures with what a run finds on them, six in two rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{title}.png" for title in shots]
        for path, shot in zip(paths, shots.values(), strict=True):
            cv2.imwrite(str(path), shot)
        program = [sys.executable, "-c", "from pipeline.commands.cli import main; main()", "run", *map(str, paths)]
        subprocess.run([*program, "--estimator", "hamba-s", "--out", str(folder / "out")], check=True)
        tiles = [tile(cv2.imread(str(folder / "out" / f"overlay-{title}.jpg")), title) for title in shots]
    return np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:])])


def tile(picture: Any, title: str) -> Any:
    scale = min(TILE[0] / picture.shape[1], (TILE[1] - 30) / picture.shape[0])
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    result = np.full((TILE[1], TILE[0], 3), 28, np.uint8)
    left = (TILE[0] - picture.shape[1]) // 2
    result[30 : 30 + picture.shape[0], left : left + picture.shape[1]] = picture
    cv2.putText(result, title, (8, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (235, 235, 235), 1, cv2.LINE_AA)
    return result


if __name__ == "__main__":
    for name, shots in pictures().items():
        cv2.imwrite(str(HERE / f"gallery-{name}.jpg"), drawn(shots), [cv2.IMWRITE_JPEG_QUALITY, 82])
