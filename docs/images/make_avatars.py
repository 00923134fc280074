"""Makes avatars.png: a person's hands, and an avatar's in its T-pose, posed by what was sent over VMC.

hamba demo; python docs/images/make_avatars.py out/demo
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from scipy.spatial.transform import Rotation

from hamba_core.hand import BONES, FINGERS
from stages.recording import read_recording
from viewers.avatars import vmc_messages

HERE = Path(__file__).parent
FRAMES = (30, 60, 90)
COLOURS = {"left": "#4a90e2", "right": "#f39242"}


def avatar_fingers(bones: dict, side: str) -> list[np.ndarray]:
    """Each finger's joints as Unity has them; the last bone is drawn as long as its own half."""
    chains = []
    for finger in FINGERS:
        place, turned, chain = np.zeros(3), np.eye(3), [np.zeros(3)]
        for part in ("Proximal", "Intermediate", "Distal"):
            numbers = bones[f"{side.capitalize()}{finger.capitalize()}{part}"]
            place = place + turned @ numbers[:3]
            turned = turned @ Rotation.from_quat(numbers[3:]).as_matrix()
            chain.append(place)
        tip = 0.022 * np.array([1.0 if side == "right" else -1.0, 0, 0])
        chains.append(np.array([*chain, place + turned @ tip]) if finger != "thumb" else np.array(chain))
    return chains


def main(recording: Path) -> None:
    results = {r.frame.index: r for r in read_recording(recording).results() if r.frame.index in FRAMES}
    figure = plt.figure(figsize=(9, 5.2), dpi=90)
    for row, index in enumerate(FRAMES):
        result = results[index]
        axes = figure.add_subplot(len(FRAMES), 2, 2 * row + 1)
        axes.set_axis_off()
        for hand in result.hands:
            for parent, child in BONES:
                axes.plot(*hand.joints_2d[[parent, child]].T, color=COLOURS[hand.side], linewidth=2.5)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.set_title(f"the picture, frame {index}", fontsize=8)
        bones = {
            str(message.arguments[0]): np.array(message.arguments[1:])
            for message in vmc_messages(result, 0.0, np.zeros(3))
            if message.address.endswith("Bone/Pos")
        }
        axes = figure.add_subplot(len(FRAMES), 2, 2 * row + 2)
        axes.set_axis_off()
        for side, across in (("left", -0.1), ("right", 0.1)):
            for chain in avatar_fingers(bones, side):
                # From above and a little in front, as one who stands before the avatar and looks down sees it.
                axes.plot(-(chain[:, 0] + across), -chain[:, 2] + 0.6 * chain[:, 1], color=COLOURS[side], linewidth=2.5)
        axes.set_aspect("equal")
        axes.set_title("the avatar's hands, arms to both sides, palms down, seen from above in front", fontsize=8)
    figure.tight_layout()
    figure.savefig(HERE / "avatars.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "hands.mcap")
