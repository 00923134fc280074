"""Data shipped with the stages, each with the script that made it."""

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent

HAND_LANDMARKER: Final = _FOLDER / "hand_landmarker.task"
"""MediaPipe's Hand Landmarker; made by `make/hand_landmarker.py`."""
LANDMARK_NETWORK: Final = _FOLDER / "hand_landmarks.onnx"
"""MediaPipe's hand-landmark network, with its maps; made by `make/hand_networks.py`."""
LANDMARK_NETWORK_SHA256: Final = "0dbf877f1f1dad6a1ba95d6af85ab13a3a6229c97aa625feb7792f46bebf087c"
PALM_NETWORK: Final = _FOLDER / "palms.onnx"
"""MediaPipe's palm network; made by `make/hand_networks.py`."""
PALM_NETWORK_SHA256: Final = "64763bb776607a47fedcdfbde130cb379857ceff5166e9506cc8f9438c7a258a"
HAMBA_S: Final = _FOLDER / "hamba_s.onnx"
"""The small Hamba, as ONNX Runtime runs it; made by `hamba train small` (docs/training.md)."""
HAMBA_S_SHA256: Final = "1d1c73dc1ae7630524bb6c59dfdf63e1347d66d260a336ecf28f38b2cc24e3f8"
HAMBA_S_WEIGHTS: Final = _FOLDER / "hamba_s.safetensors"
"""The same weights for torch, with what they come from."""
CLIP: Final = _FOLDER / "two_hands.mp4"
"""Ten seconds of two hands; made by `stages.synthetic.make.clip`."""
CLIP_TRUTH: Final = _FOLDER / "two_hands_truth.npz"
"""What really is in the clip; read by `stages.synthetic`."""
