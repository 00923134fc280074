"""Draw what is in a LeRobot data set: docs/images/lerobot.png.

hamba run 'synthetic:?seed=11&seconds=2&acts=gestures&width=320&height=240' --out out/gestures
hamba export out/gestures --to lerobot && python docs/images/make_lerobot.py out/gestures/hands-lerobot
"""

import sys
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
from matplotlib import pyplot as plt

from hamba_core.hand import JOINT_NAMES
from stages.packets import EVENT_KINDS

TIPS = [JOINT_NAMES.index(f"{finger}_4") for finger in ("thumb", "index")]


def draw(dataset: Path, to: Path) -> None:
    """Pictures above, the gap between thumb and index fingertip and the events of the right hand below."""
    table = pq.read_table(dataset / "data/chunk-000/file-000.parquet")
    with av.open(str(dataset / "videos/observation.images.camera/chunk-000/file-000.mp4")) as video:
        pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    shown = np.linspace(0, len(pictures) - 1, 6).astype(int)
    figure = plt.figure(figsize=(10, 4.2), layout="constrained")
    grid = figure.add_gridspec(2, 6, height_ratios=(1, 1.3))
    time = np.array(table["timestamp"])
    for column, index in enumerate(shown):
        ax = figure.add_subplot(grid[0, column])
        ax.imshow(pictures[index])
        ax.set_title(f"{time[index]:.2f} s", fontsize=8)
        ax.set_axis_off()
    ax = figure.add_subplot(grid[1, :])
    valid = np.array(table["observation.right.valid"])
    joints = np.array(table["observation.right.joints"].to_pylist()).reshape(-1, 21, 3)
    gap = np.linalg.norm(joints[:, TIPS[0]] - joints[:, TIPS[1]], axis=1)
    ax.plot(time, 1e3 * np.where(valid, gap, np.nan), color="#2b2f38", label="thumb to index fingertip, mm")
    events = np.array(table["observation.right.events"].to_pylist())
    for row, (kind, colour) in enumerate(
        zip(EVENT_KINDS, ("#d1495b", "#00798c", "#edae49", "#66a182", "#5a4fcf"), strict=True)
    ):
        if events[:, row].any():
            ax.fill_between(time, 0, 140, where=events[:, row] > 0, color=colour, alpha=0.25, step="mid", label=kind)
    ax.set(xlabel="timestamp, s", ylim=(0, 140), xlim=(time[0], time[-1]))
    ax.legend(fontsize=8, frameon=False, ncols=5)
    figure.savefig(to, dpi=100)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).with_name("lerobot.png"))
