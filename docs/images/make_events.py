"""Draw what a hand of the test pattern does, and what is told of it: docs/images/events.png.

hamba run 'synthetic:?seed=900060&acts=gestures' --out out/900060
python docs/images/make_events.py out/900060/hands.mcap
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from stages.events import strengths
from stages.events.make.measure import NEAR, moments
from stages.packets import EVENT_KINDS
from stages.recording import read_recording

COLOURS = dict(zip(EVENT_KINDS, ("#d1495b", "#00798c", "#edae49", "#66a182", "#5a4fcf"), strict=True))


def draw(recording: Path, to: Path) -> None:
    """One row a hand: the truth as pale bars, the events as full ones, the strengths as lines."""
    hands = list(moments(recording, None))
    figure, axes = plt.subplots(len(hands), 1, figsize=(10, 2.6 * len(hands)), sharex=True, layout="constrained")
    results = list(read_recording(recording).results())
    for ax, hand, side in zip(np.atleast_1d(axes), hands, ("left", "right"), strict=False):
        pts = np.array([moment.pts for moment in hand])
        seen = {r.frame.pts: h for r in results for h in r.hands if h.side == side}
        for row, kind in enumerate(EVENT_KINDS):
            there = np.array([moment.off[kind] <= NEAR for moment in hand])
            told = np.array([kind in moment.on for moment in hand])
            ax.fill_between(pts, row, row + 0.85, where=there, color=COLOURS[kind], alpha=0.25, linewidth=0, step="mid")
            ax.fill_between(pts, row, row + 0.12, where=told, color=COLOURS[kind], linewidth=0, step="mid")
            lines = [strengths(seen[t].joints)[row] if t in seen else np.nan for t in pts]
            ax.plot(pts, row + 0.15 + 0.7 * np.array(lines), color=COLOURS[kind], linewidth=1)
        ax.set_yticks(np.arange(len(EVENT_KINDS)) + 0.4, [kind.replace("_", " ") for kind in EVENT_KINDS])
        ax.set_title(
            f"{side} hand: shown (pale), told (bars), how much it looks like it (lines)", loc="left", fontsize=9
        )
        ax.spines[["top", "right", "left"]].set_visible(False)
    np.atleast_1d(axes)[-1].set_xlabel("s")
    figure.savefig(to, dpi=100)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).with_name("events.png"))
