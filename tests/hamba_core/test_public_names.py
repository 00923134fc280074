"""What `hamba_core` gives by name, and what it costs to import."""

import subprocess
import sys
from pathlib import Path

import hamba_core


def test_the_public_names_are_these() -> None:
    assert vars(hamba_core)["__all__"] == [
        "Conversion",
        "Hamba",
        "HambaConfiguration",
        "HambaOutput",
        "Square",
        "convert_release",
        "cut_crops",
        "load",
        "read_mano",
        "square_around",
        "translation_in_picture",
    ]
    for name in vars(hamba_core)["__all__"]:
        assert getattr(hamba_core, name).__name__ == name
        assert name in dir(hamba_core)


def test_importing_it_brings_no_torch() -> None:
    code = "import sys, hamba_core; print(sorted({'torch', 'numpy', 'smplx', 'timm'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


HIDDEN = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"mediapipe", "open3d", "av", "cv2"}:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)
sys.meta_path.insert(0, Hidden())
"""

RECONSTRUCT = """
import numpy as np
from pathlib import Path
from hamba_core.view.camera import Intrinsics
from stages.packets import Detections, Frame, FrameMeta, HandBox
from stages.reconstruction.reconstruction import Reconstruction, ReconstructionSettings, load_hand_model
settings = ReconstructionSettings(checkpoint=Path(sys.argv[1]))
stage = Reconstruction(settings, load_hand_model(settings))
stage.open()
picture = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
meta = FrameMeta("hands", 0, 0.0, 1, 160, 120, Intrinsics.estimate(160, 120))
boxes = tuple(
    HandBox(side, 0.9, [40, 30, 90, 80], np.zeros((21, 2)), np.zeros((21, 3)), track_id)
    for track_id, side in enumerate(("left", "right"), 1)
)
result = stage.process(Detections(Frame(meta, picture), boxes))
stage.close()
print([(hand.side, hand.vertices.shape) for hand in result.hands], stage.choices()[0].chosen)
"""


def test_the_network_runs_without_mediapipe_open3d_pyav_and_opencv(tiny_release: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", HIDDEN + RECONSTRUCT, str(tiny_release)], capture_output=True, text=True
    )
    assert found.stdout.strip() == "[('left', (778, 3)), ('right', (778, 3))] hamba", found.stderr
