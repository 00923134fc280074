"""The tables, plots and pictures of a synthetic evaluation, from its numbers."""

from collections.abc import Sequence
from typing import Any, Final

from hamba_core.hand import JOINT_NAMES
from hamba_core.text import counted
from pipeline.evaluation.gallery import Gallery, Picture
from pipeline.evaluation.plots import COLOURS, plot
from pipeline.evaluation.report import Page, Plot, Table, Tile, Tiles, number
from pipeline.evaluation.scores import MOVING, MUST_BE_FOUND, REST, Tree

_KINDS: Final = (
    ("mpjpe", "MPJPE", 1), ("pa_mpjpe", "PA-MPJPE", 2), ("pa_mpvpe", "PA-MPVPE", 2), ("pa_f5", "F@5", 3),
    ("pa_f15", "F@15", 3), ("reprojection", "2D px", 1), ("translation", "place", 0),
)  # fmt: skip
_UNITS: Final = {"mpjpe": "mm", "pa_mpjpe": "mm", "pa_mpvpe": "mm", "translation": "mm"}  # where titles have none
_MOTION_UNITS: Final = {
    "acceleration_error": "mm/s²", "jitter": "mm/s³", "jitter_error": "mm/s³", "tremble": "mm",
    "tremble_2d": "px", "lag": "ms",
}  # fmt: skip


def method_table(tree: Tree) -> Table:
    """Return a table of all hands: the baseline, the estimator, and its hands when they are smoothed."""
    kinds = (*_KINDS, ("translation_guessed", "place, f guessed", 0))
    rows, values = [], []
    for method in _methods(tree):
        cells = tree["hands"][method]["all"]
        numbers = [cells.get(name) for name, _, _ in kinds]
        found = (number(cells["recall"]), number(tree["precision"][method]), number(cells["side"]))
        digits = [d for _, _, d in kinds]
        rows.append((_label(tree, method), *found, str(cells["switches"]), *map(number, numbers, digits)))
        values.append(numbers)
    titles = ("found %", "precise %", "side %", "id switches", *(title for _, title, _ in kinds))
    return Table(
        "All hands", ("method", *titles), tuple(rows),
        "Errors in mm, means over the hands that the detector saw in a frame. MPJPE and MPVPE compare wrist on wrist, "
        "2D pixel on pixel, PA and F after Procrustes alignment without reflection. Place: the wrist's distance from "
        "the true one with the true focal length; guessed: with the assumed one, in scenes where that is wrong. Found "
        f"and side: of hands of which {100 * MUST_BE_FOUND:.0f} % or more is in view.",
    )  # fmt: skip


def group_table(tree: Tree) -> Table:
    """Return a table of the hands as they come out, by group, beside the baseline."""
    base, own = _methods(tree)[0], _last(tree)
    pairs = [(name, title, digits) for name, title, digits in _KINDS if _has(tree, base, name)]
    alone = [(name, title, digits) for name, title, digits in _KINDS if not _has(tree, base, name)]
    headings = [f"{title} {who}" for _, title, _ in pairs for who in (base, "own")]
    rows = []
    for group, cells in tree["hands"][own].items():
        if not cells["hands"]:
            continue
        other = tree["hands"][base][group]
        numbers = [number(c.get(name), digits) for name, _, digits in pairs for c in (other, cells)]
        numbers += [number(cells.get(name), digits) for name, _, digits in alone]
        found = (number(cells["recall"], 0), number(cells["side"], 0), str(cells["switches"]))
        rows.append((group, str(cells["hands"]), *found, *numbers))
    titles = ("group", "hands", "found %", "side %", "switches", *headings, *(title for _, title, _ in alone))
    return Table(f"By group: {_label(tree, own)}, beside {base}", titles, tuple(rows))


def motion_table(tree: Tree) -> Table:
    """Return a table of steadiness and lag, for all hands, at rest and moving."""
    kinds = (
        ("acceleration_error", "acceleration error mm/s²", 0), ("jitter", "jitter mm/s³", 0),
        ("jitter_error", "jitter of the error", 0), ("shape_jitter", "jitter of shape", 0),
        ("jitter_2d", "jitter px/frame³", 2), ("tremble", "tremble mm", 2),
        ("tremble_2d", "tremble px", 2), ("lag", "behind truth ms", 0),
    )  # fmt: skip
    rows = []
    for when in ("all", "at rest", "moving"):
        for method in _methods(tree):
            motion = tree["motion"][method][when]
            rows.append((
                f"{when}, {_label(tree, method)}", str(motion["frames"]),
                *(number(motion.get(name), digits) for name, _, digits in kinds),
            ))  # fmt: skip
    lag = tree.get("smoothing_lag")
    added = f" Smoothing adds {lag:.0f} ms by cross-correlation." if lag is not None else ""
    return Table(
        "Steadiness", ("hands", "frames", *(title for _, title, _ in kinds)), tuple(rows),
        f"At rest: joints slower than {REST:g} m/s in the mean; moving: faster than {MOVING:g}. Jitter is the third "
        "difference; of the error: that of what joints are off the truth, without the motion's own; of shape: relative "
        f"to the hand's middle. Tremble: RMS of the hand's middle about its running mean over 11 frames.{added}",
    )  # fmt: skip


def tables_of(tree: Tree) -> list[Table]:
    """Return all tables of a run."""
    return [method_table(tree), group_table(tree), motion_table(tree)]


def page_of(tree: Tree, gallery: Gallery) -> Page:
    """Return the whole report."""
    views = sorted({scene["view"] for scene in tree["scenes"]})
    facts = [
        ("estimator", tree["estimator"]),
        ("scenes", f"{len(tree['scenes'])} with {counted(tree['frames'], 'frame')}: {', '.join(views)}"),
        *((choice["subject"], f"{choice['chosen']} ({choice['reason']})") for choice in tree["choices"]),
        *((name, str(tree[name])) for name in ("weights", "settings", "version", "command") if tree.get(name)),
    ]
    plots = [_pck_plot({"": tree}), _joint_plot({"": tree}), _motion_plot({"": tree})]
    pictures = [
        Tiles("The worst hands", tuple(map(_tile, gallery.worst)), "Found joints in colours, true ones in white."),
        Tiles("Hands drawn at random", tuple(map(_tile, gallery.typical)), "In order of their error."),
    ]
    title = f"{tree['estimator']} on the held-out synthetic scenes"
    return Page(title, tuple(facts), (*tables_of(tree), *plots, *pictures))


def comparison(first: Tree, second: Tree, names: tuple[str, str]) -> list[Table]:
    """Return tables of two runs side by side: the baseline, of each run the hands as they come out, and the change."""
    base = _methods(first)[0]
    differ = first["scenes"] != second["scenes"]
    note = "The runs are of different scenes: what changed may be the scenes' difference." if differ else ""
    tables = []
    for kind, title, digits in _KINDS:
        with_base = _has(first, base, kind)
        columns = ("group", *((base,) if with_base else ()), *names, "change %")
        rows = []
        for group, cells in first["hands"][_last(first)].items():
            a, b = cells.get(kind), second["hands"][_last(second)].get(group, {}).get(kind)
            if a is not None or b is not None:
                values = (first["hands"][base][group].get(kind), a, b) if with_base else (a, b)
                rows.append((group, *(number(value, max(digits, 1)) for value in values), _change(a, b)))
        unit = _UNITS.get(kind)
        tables.append(Table(f"{title}{f', {unit}' if unit else ''}, {_last(first)}", columns, tuple(rows), note))
    rows = []
    for when in ("all", "at rest", "moving"):
        for name, unit in _MOTION_UNITS.items():
            a, b = (tree["motion"][_last(tree)][when].get(name) for tree in (first, second))
            rows.append((f"{name.replace('_', ' ')} {unit}, {when}", number(a, 2), number(b, 2), _change(a, b)))
    tables.append(Table(f"Steadiness, {_last(first)}", ("measure", *names, "change %"), tuple(rows), note))
    found = []
    for group in first["hands"][_last(first)]:
        a, b = (tree["hands"][_last(tree)][group] for tree in (first, second))
        found.append((group, number(a["recall"]), number(b["recall"]), number(a["side"]), number(b["side"]),
                     str(a["switches"]), str(b["switches"])))  # fmt: skip
    headings = (f"{what} {name}" for what in ("found %", "side %", "id switches") for name in names)
    tables.append(Table("Detection", ("group", *headings), tuple(found)))
    return tables


def comparison_page(first: Tree, second: Tree, names: tuple[str, str]) -> Page:
    """Return a report of two runs side by side, with plots."""
    runs = {names[0]: first, names[1]: second}
    facts = tuple((name, f"{tree['estimator']}, {counted(tree['frames'], 'frame')}") for name, tree in runs.items())
    plots = (_pck_plot(runs), _joint_plot(runs), _motion_plot(runs))
    return Page(f"{names[0]} and {names[1]}", facts, (*comparison(first, second, names), *plots))


def _change(a: float | None, b: float | None) -> str:
    return "–" if a is None or b is None or a == 0 else f"{100 * (b / a - 1):+.1f}"


def _methods(tree: Tree) -> list[str]:
    return list(tree["methods"])


def _last(tree: Tree) -> str:
    """Return the method whose hands come out at the end."""
    return _methods(tree)[-1]


def _label(tree: Tree, method: str) -> str:
    """Return a method's name in a table."""
    return method if method == _methods(tree)[0] else f"{tree['estimator']} {method}"


def _has(tree: Tree, method: str, name: str) -> bool:
    return tree["hands"][method]["all"].get(name) is not None


def _tile(picture: Picture) -> Tile:
    return Tile(picture.image, picture.caption, picture.true, picture.found)


def _series(runs: dict[str, Tree]) -> list[tuple[str, Tree, str]]:
    """Return what to draw: (label, tree, method), the baseline once."""
    series: list[tuple[str, Tree, str]] = []
    for name, tree in runs.items():
        for method in _methods(tree):
            if method != _methods(tree)[0] or not series:
                prefix = f"{name}: " if name and method != _methods(tree)[0] else ""
                series.append((prefix + _label(tree, method), tree, method))
    return series


def _pck_plot(runs: dict[str, Tree]) -> Plot:
    def draw(axes: Sequence[Any]) -> None:
        for axis, (kind, title) in zip(axes, (("rooted", "wrist on wrist"), ("aligned", "aligned")), strict=True):
            for colour, (label, tree, method) in zip(COLOURS, _series(runs), strict=False):
                curve = tree["pck"][method].get(kind)
                if curve:
                    millimetres = [50 * n / (len(curve["share"]) - 1) for n in range(len(curve["share"]))]
                    axis.plot(millimetres, curve["share"], color=colour, label=f"{label}, area {curve['auc']:.3f}")
            axis.set(xlabel="mm", ylabel="share of joints", xlim=(0, 50), ylim=(0, 1), title=title)
            axis.legend(frameon=False, loc="lower right")

    return plot("Share of correct joints", "By how many millimetres a joint may be off.", (10, 3.4), 2, draw)


def _joint_plot(runs: dict[str, Tree]) -> Plot:
    def draw(axes: Sequence[Any]) -> None:
        (axis,) = axes
        series = _series(runs)
        width = 0.8 / len(series)
        for place, (colour, (label, tree, method)) in enumerate(zip(COLOURS, series, strict=False)):
            errors = tree["joint_errors"][method]["aligned"]
            if errors:
                axis.bar([n + place * width for n in range(21)], errors, width, color=colour, label=label)
        axis.set_xticks([n + 0.4 - width / 2 for n in range(21)], JOINT_NAMES, rotation=60, ha="right")
        axis.set(ylabel="mm")
        axis.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        axis.grid(visible=False, axis="x")

    return plot("Error by joint, aligned", "", (10, 3.2), 1, draw)


def _motion_plot(runs: dict[str, Tree]) -> Plot:
    def draw(axes: Sequence[Any]) -> None:
        for axis, when in zip(axes, ("at rest", "moving"), strict=True):
            for colour, (label, tree, method) in zip(COLOURS, _series(runs), strict=False):
                motion = tree["motion"][method][when]
                if motion["jitter"] is not None and motion["lag"] is not None:
                    axis.scatter(motion["lag"], motion["jitter"], color=colour, label=label, zorder=3)
            axis.set(xlabel="ms behind the truth", ylabel="jitter, mm/s³", title=when)
            axis.set_ylim(bottom=0)
            axis.legend(frameon=False)

    return plot("Jitter against lag", "Left and low is good.", (10, 3.2), 2, draw)
