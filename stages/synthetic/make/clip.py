"""This script makes the clip that ships, `stages/assets/two_hands.mp4`, and its truth, `two_hands_truth.npz`.

python -m stages.synthetic.make.clip [folder]
"""

import sys
from fractions import Fraction
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING

import av

from hamba_core.hand import load_generic_hand
from hamba_core.view import FILM_DIAGONAL, Intrinsics
from stages.synthetic.settings import SyntheticSettings
from stages.synthetic.source import SyntheticSource
from stages.synthetic.truth import ClipTruth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stages.packets import Image

CLIP, TRUTH = "two_hands.mp4", "two_hands_truth.npz"
LENS = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
SETTINGS = SyntheticSettings(seed=9, seconds=10)


def encode(path: Path, images: "Iterable[Image]", settings: SyntheticSettings, camera: Intrinsics) -> None:
    """Write pictures (height, width, 3) RGB as H.264 that any player shows, with the lens in its tags."""
    with av.open(path, "w", options={"movflags": "faststart+use_metadata_tags"}) as container:
        container.metadata[LENS] = f"{camera.fx * FILM_DIAGONAL / hypot(settings.width, settings.height):.2f}"
        stream = container.add_stream("libx264", rate=Fraction(settings.fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = settings.width, settings.height, "yuv420p"
        stream.options = {"crf": "19", "preset": "veryslow"}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def make_clip(folder: Path, settings: SyntheticSettings = SETTINGS) -> None:
    """Draw, encode and describe the clip of these settings into a folder."""
    source = SyntheticSource(settings)
    camera = source.open().camera
    truth = []

    def images() -> "Iterable[Image]":
        for frame in source.frames():
            if frame is not None:
                truth.append(source.truth(frame.meta.pts))
                yield frame.image

    encode(folder / CLIP, images(), settings, camera)
    size = (settings.width, settings.height)
    ClipTruth.gather(truth, load_generic_hand(), size, settings.fps, camera).save(folder / TRUTH)


if __name__ == "__main__":
    make_clip(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "assets")
