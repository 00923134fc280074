"""A recording as a picture: who was there when, how surely, how fast, and how long each frame took."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array
from hamba_core.errors import DependencyError
from hamba_core.hand import Side
from hamba_core.text import counted
from stages.common.files import write_whole
from stages.common.palette import hand_colour
from stages.recording.overview import Overview, Series, TrackOverview

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS: Final = 500  # stretches of time; where each has many frames, means are drawn, and the range about them
_CROWDED: Final = 2  # frames in a stretch, from which on it has many
_AWAY: Final = 0.5  # s without a hand, or frames; after longer ones a line is broken
_INK, _PALE, _PAPER, _WORK = "#2b2f38", "#e6e8ec", "#ffffff", "#7a8290"
_STYLE: Final[dict[Any, Any]] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _PALE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _PALE,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": _PAPER,
    "text.parse_math": False,  # names of files are no formulas
}


def plot_timeline(overview: Overview, path: Path) -> None:
    """Write the picture as PNG, in the place of an older one. Raises DependencyError, OutputError."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError(
            f"plot: expected Matplotlib, found: {error}; install it: pip install matplotlib"
        ) from error

    lanes = _lanes(overview.tracks)
    heights = [0.35 + 0.22 * max(len(lanes), 2), 0.8, 1.2, 0.9]
    with rc_context(_STYLE):
        figure = Figure(figsize=(10, 1.4 + 1.15 * sum(heights)), dpi=110, layout="constrained")
        axes = figure.subplots(4, 1, sharex=True, height_ratios=heights)
        _draw_tracks(axes[0], lanes, overview.duration)
        live = overview.run.source.live
        stretch = overview.duration / _COLUMNS
        for track in overview.tracks:
            _draw_line(axes[1], track.scores, stretch, _colour(track))
            _draw_line(axes[2], track.speeds, stretch, _colour(track))
        _draw_line(axes[3], overview.latency if live else overview.work, stretch, _WORK)
        labels = ("hands", "side score", "speed, m/s", "latency, ms" if live else "work, ms a frame")
        for ax, label in zip(axes, labels, strict=True):
            ax.set_title(label, loc="left", fontsize=9, color=_WORK, pad=3)
        axes[1].set_ylim(0, 1.05)
        axes[2].set_ylim(bottom=0)
        axes[3].set_ylim(0, _height(overview.latency if live else overview.work))
        if overview.frames:
            spare = 0.005 * max(overview.duration, 0.1)
            axes[0].set_xlim(overview.first_pts - spare, overview.last_pts + spare)
        axes[3].set_xlabel("time in the source, s")
        figure.suptitle(_title(overview), x=0.012, ha="left", fontsize=11, fontweight="bold")
        content = BytesIO()
        figure.savefig(content, format="png")
    write_whole(path, content.getvalue())


def _title(overview: Overview) -> str:
    name = overview.run.source.name
    shown = name if len(name) <= 60 else f"...{name[-57:]}"
    ending = "" if overview.ended_in_order else ", cut off"
    return f"{shown}: {counted(overview.frames, 'frame')} in {overview.duration:.1f} s{ending}"


def _colour(track: TrackOverview) -> tuple[float, float, float]:
    red, green, blue = (0.9 * value / 255 for value in hand_colour(track.side))  # a little darker: on white
    return red, green, blue


def _lanes(tracks: Sequence[TrackOverview]) -> list[tuple[Side, list[TrackOverview]]]:
    """Return tracks in rows, the left hands' first; those of one side that do not meet share a row."""
    lanes: list[tuple[Side, list[TrackOverview]]] = []
    sides: tuple[Side, ...] = ("left", "right")
    for side in sides:
        own: list[list[TrackOverview]] = []
        for track in tracks:
            if track.side == side:
                free = next((lane for lane in own if lane[-1].last_pts < track.first_pts), None)
                if free is None:
                    own.append([track])
                else:
                    free.append(track)
        lanes += [(side, lane) for lane in own]
    return lanes


def _draw_tracks(ax: "Axes", lanes: Sequence[tuple[Side, Sequence[TrackOverview]]], duration: float) -> None:
    """Draw a bar for each track, broken where the hand was away, with the track's number where it has room."""
    for row, (_, lane) in enumerate(lanes):
        for track in lane:
            pts, _ = track.scores.arrays()
            breaks = np.flatnonzero(np.diff(pts) > _AWAY)
            starts, ends = pts[np.r_[0, breaks + 1]], pts[np.r_[breaks, len(pts) - 1]]
            bars = np.stack([starts, np.maximum(ends - starts, 1e-3)], 1)
            ax.broken_barh([(x, w) for x, w in bars.tolist()], (row - 0.32, 0.64), color=_colour(track), linewidth=0)
            if bars[0, 1] > 0.012 * duration * (1 + len(str(track.id))):
                ax.annotate(
                    str(track.id), (starts[0], row), xytext=(4, 0), textcoords="offset points",
                    va="center", fontsize=8, color=_PAPER, fontweight="bold",
                )  # fmt: skip
    ax.set_yticks(range(len(lanes)), [side for side, _ in lanes])
    ax.set_ylim(max(len(lanes), 1) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")


def _draw_line(ax: "Axes", series: Series, stretch: float, colour: str | tuple[float, float, float]) -> None:
    """Draw a line over time, broken where nothing is; if frames are crowded, means over stretches of this many s."""
    pts, values = series.arrays()
    known = np.isfinite(values)
    lines = _Lines(pts[known], *(values[known],) * 3)
    if crowded := len(pts) * stretch > _CROWDED * (pts[-1] - pts[0] + stretch) if len(pts) else False:
        lines = _binned(lines.pts, lines.mean, stretch)
    lines = _broken(lines, max(_AWAY, 2.5 * stretch))
    if crowded:
        ax.fill_between(lines.pts, lines.low, lines.high, color=colour, alpha=0.25, linewidth=0)
    ax.plot(lines.pts, lines.mean, color=colour, linewidth=1.0 if crowded else 1.5, marker="." if len(pts) == 1 else "")


class _Lines(NamedTuple):
    """What is drawn of a series, each (N,)."""

    pts: NDArray[np.float64]
    low: NDArray[np.floating]
    mean: NDArray[np.floating]
    high: NDArray[np.floating]


def _binned(pts: NDArray[np.float64], values: Float32Array, stretch: float) -> _Lines:
    """Return least, mean and greatest values of stretches of this many s, of those that have any."""
    number = np.floor(pts / stretch)
    starts = np.flatnonzero(np.diff(number, prepend=-np.inf))
    counts = np.diff(np.r_[starts, len(pts)])
    return _Lines(
        np.add.reduceat(pts, starts) / counts,
        np.minimum.reduceat(values, starts),
        np.add.reduceat(values.astype(np.float64), starts) / counts,
        np.maximum.reduceat(values, starts),
    )


def _broken(lines: _Lines, longest: float) -> _Lines:
    """Return the values with NaN wherever nothing comes for more than this many seconds."""
    gaps = np.flatnonzero(np.diff(lines.pts) > longest) + 1
    return _Lines(np.insert(lines.pts, gaps, lines.pts[gaps]), *(np.insert(line, gaps, np.nan) for line in lines[1:]))


def _height(series: Series) -> float:
    """Return how high to draw, so that the first frame, which loads things, does not flatten all others."""
    _, values = series.arrays()
    if not len(values):
        return 1.0
    return float(max(min(values.max() * 1.05, 3 * np.percentile(values, 95)), 1e-3))
