"""All plots have one look. They are PNG files."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, Final

from pipeline.evaluation.report import Plot

COLOURS: Final = ("#8a93a3", "#3b7dd8", "#e07b39", "#2f9e6e", "#a05bd0", "#c94f6d")
"""Grey for the baseline, then one for each method."""
_STYLE: Final[dict[Any, Any]] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e8ec",
    "axes.axisbelow": True,
    "text.parse_math": False,  # names of runs are no formulas
}


def plot(title: str, note: str, size: tuple[float, float], panels: int, draw: Callable[[Sequence[Any]], None]) -> Plot:
    """Return a plot of `panels` side by side, `size` inches; `draw` is given their axes and fills them."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=size, dpi=110, layout="constrained")
        draw(figure.subplots(1, panels, squeeze=False)[0])
        file = BytesIO()
        figure.savefig(file, format="png")
        return Plot(title, file.getvalue(), note)
