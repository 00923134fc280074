"""Data shipped with the stages, each with the script that made it."""

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent

HAND_LANDMARKER: Final = _FOLDER / "hand_landmarker.task"
"""MediaPipe's Hand Landmarker; made by `make/hand_landmarker.py`."""
CLIP: Final = _FOLDER / "two_hands.mp4"
"""Ten seconds of two hands; made by `stages.synthetic.make.clip`."""
CLIP_TRUTH: Final = _FOLDER / "two_hands_truth.npz"
"""What really is in the clip; read by `stages.synthetic`."""
