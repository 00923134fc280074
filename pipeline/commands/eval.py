"""`hamba eval`: the accuracy and steadiness of an estimator."""

import json as json_module
import sys
from collections.abc import Callable, Sequence
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.run_options import Checkpoint, Estimator, HandModel, Set

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.evaluation import PublishedData, Table, Tree
    from pipeline.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Measure the accuracy and steadiness of hands.")

Out = Annotated[
    Path | None, typer.Option(help="Folder for the numbers (JSON) and the report (HTML).", show_default=False)
]
Tta = Annotated[
    bool, typer.Option("--tta", help="Look at each hand 95 times, scaled and rotated, and average the answers.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only this many pictures, for a trial.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON on standard output, and nothing else.")]


@app.command("synthetic")
def synthetic(
    estimator: Estimator = None,
    checkpoint: Checkpoint = None,
    hand_model: HandModel = None,
    set_: Set = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of plain scenes; each harder view has a third as many.")
    ] = 5,
    seconds: Annotated[float, typer.Option(min=0.5, max=30, help="Length of each scene.")] = 10.0,
    views: Annotated[
        str | None, typer.Option(help="Only these views, such as plain,dark. \\[default: all]", show_default=False)
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Measure nothing; compare two runs' folders (or JSON files)."),
    ] = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Measure an estimator on held-out synthetic scenes, compared with MediaPipe's own joints.

    Ten minutes on two processors; fewer --seeds or --seconds take less.
    """
    from pipeline.evaluation import (
        comparison,
        comparison_page,
        held_out_scenes,
        measure_synthetic,
        origin,
        page_of,
        read_numbers,
        results_folder,
        score,
        tables_of,
        views_in,
        write_page,
        write_results,
    )
    from pipeline.terminal import share_bar
    from stages.common.terminal import Terminal

    console = Terminal(stderr=True, quiet=json)
    if compare is not None:
        first, second = (read_numbers(path, "synthetic") for path in compare)
        names = (compare[0].stem, compare[1].stem)
        _show(comparison(first, second, names), {"first": first, "second": second}, as_json=json)
        if out is not None:
            page = out / "comparison.html"
            write_page(page, comparison_page(first, second, names))
            _tell_written([page], console)
        return
    settings = _settings(estimator, checkpoint, set_, hand_model)
    scenes = held_out_scenes(seeds, seconds, views_in(views))
    folder = results_folder(out, "synthetic")
    with share_bar(console, "measuring") as on_progress:
        measured = measure_synthetic(settings, scenes, on_progress)
    tree = score(measured, scenes) | origin(settings, measured.estimator)
    _show(tables_of(tree), tree, as_json=json)
    _tell_written(write_results(folder, page_of(tree, measured.gallery), tree), console)


def _answering(open_set: Callable[..., "PublishedData"]) -> None:
    """Add a command named after `open_set`, which answers the set that it opens, with its options and those of all."""
    own = signature(open_set).parameters
    parameters = [*own.values(), *list(signature(_answer).parameters.values())[1:]]

    def command(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in own}
        _answer(open_set(**chosen), **given)

    command.__doc__ = open_set.__doc__
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    app.command(open_set.__name__)(command)


def _answer(
    data: "PublishedData",
    estimator: Estimator = None,
    checkpoint: Checkpoint = None,
    hand_model: HandModel = None,
    tta: Tta = False,
    limit: Limit = None,
    set_: Set = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for pred.zip; answers in it are kept. \\[default: out/eval-SET]", show_default=False),
    ] = None,
) -> None:
    from pipeline.evaluation import predict
    from pipeline.terminal import share_bar
    from stages.common.terminal import Terminal

    console = Terminal(stderr=True)
    settings = _settings(estimator, checkpoint, set_, hand_model)
    folder = out or Path("out") / f"eval-{data.name}"
    with share_bar(console, "answering") as on_progress:
        prediction = predict(data, settings, folder, augment=tta, limit=limit, on_progress=on_progress)
    if prediction.not_found:
        console.print(
            f"no hand was found in {prediction.not_found} of {prediction.count} pictures; a resting one is answered",
            style="yellow", highlight=False,
        )  # fmt: skip
    _tell_written([prediction.submission], console)
    if (data.folder / "evaluation_xyz.json").is_file():
        sys.stdout.write(f"Score it: hamba eval score {prediction.submission} {data.folder}\n")


@_answering
def freihand(
    data: Annotated[Path, typer.Argument(help="The unpacked FreiHAND_pub_v2_eval.", show_default=False)],
) -> "PublishedData":
    """Predict FreiHAND's evaluation set, as a zip for its server; run it again to continue after a stop."""
    from pipeline.evaluation import FreiHand

    return FreiHand(data)


@_answering
def ho3d(
    data: Annotated[Path, typer.Argument(help="The unpacked HO-3D, with evaluation.txt in it.", show_default=False)],
    version: Annotated[int, typer.Option(min=2, max=3, help="2 or 3.")] = 3,
) -> "PublishedData":
    """Predict HO-3D's evaluation split, as a zip for its server; run it again to continue after a stop."""
    from pipeline.evaluation import Ho3d

    return Ho3d(data, 2 if version == 2 else 3)


@app.command("score")
def score_(
    submission: Annotated[Path, typer.Argument(help="pred.zip, or the pred.json in it.", show_default=False)],
    truth: Annotated[
        Path,
        typer.Argument(
            help="Folder with evaluation_xyz.json and evaluation_verts.json; its pictures are shown.",
            show_default=False,
        ),
    ],
    out: Out = None,
    json: Json = False,
) -> None:
    """Score a submission as FreiHAND's and HO-3D's own evaluations do, with plots and the worst pictures."""
    from pipeline.evaluation import (
        read_submission,
        read_truth,
        results_folder,
        score_page,
        score_submission,
        score_tables,
        write_results,
    )
    from pipeline.terminal import share_bar
    from stages.common.terminal import Terminal

    console = Terminal(stderr=True, quiet=json)
    folder = results_folder(out, "score")
    is_ho3d = (truth / "evaluation.txt").is_file()
    own, true = read_submission(submission), read_truth(truth)
    with share_bar(console, "scoring") as on_progress:
        tree = score_submission(own, true, ho3d=is_ho3d, on_progress=on_progress)
    tree |= {"submission": str(submission), "truth": str(truth)}
    _show(score_tables(tree, ho3d=is_ho3d), tree, as_json=json)
    _tell_written(write_results(folder, score_page(tree, own, true, truth, ho3d=is_ho3d), tree), console)


@app.command("video")
def video(
    recording: Annotated[Path, typer.Argument(help="A recording (hands.mcap) or its folder.", show_default=False)],
    truth: Annotated[
        Path | None, typer.Option(help="The truth of a synthetic clip (.npz).", show_default=False)
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(help="A recording of the same video with smooth.strength=0, to measure the lag against."),
    ] = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Measure how steady a recording's hands are: jitter, tremble, lag, gaps, births and deaths, side flips."""
    from pipeline.evaluation import Page, measure_video, read_clip_truth, results_folder, video_table, write_results
    from pipeline.given_names import recording_in
    from pipeline.terminal import share_bar
    from stages.common.terminal import Terminal

    console = Terminal(stderr=True, quiet=json)
    folder = results_folder(out, "video") if out is not None else None
    true = read_clip_truth(truth) if truth is not None else None
    with share_bar(console, "reading") as on_progress:
        tree = measure_video(recording_in(recording), true, recording_in(raw) if raw else None, on_progress)
    table = video_table(tree)
    _show([table], tree, as_json=json)
    if folder is not None:
        page = Page(f"Steadiness of {recording.name}", (("recording", str(recording)),), (table,))
        _tell_written(write_results(folder, page, tree), console)


@app.command("stereo")
def stereo(
    left: Annotated[str, typer.Argument(help="The left view: a video, or a folder of pictures.", show_default=False)],
    right: Annotated[str, typer.Argument(help="The right view, with simultaneous frames.", show_default=False)],
    calibration: Annotated[
        Path,
        typer.Option(help="M1, D1, M2, D2, R and T, as written by OpenCV's stereo calibration.", show_default=False),
    ],
    unit: Annotated[float, typer.Option(help="Metres per unit of T: 0.001 for millimetres.")] = 1.0,
    gate: Annotated[
        float, typer.Option(min=0, help="Largest mean error in px at which joints that fit both views are a reference.")
    ] = 3.0,
    estimator: Estimator = None,
    checkpoint: Checkpoint = None,
    hand_model: HandModel = None,
    set_: Set = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Measure an estimator on real video: its hands in the left view against joints triangulated from both."""

    from pipeline.evaluation import (
        Page,
        measure_stereo,
        origin,
        read_rig,
        results_folder,
        stereo_table,
        write_results,
    )
    from pipeline.terminal import share_bar
    from stages.common.terminal import Terminal

    console = Terminal(stderr=True, quiet=json)
    folder = results_folder(out, "stereo") if out is not None else None
    settings, rig = _settings(estimator, checkpoint, set_, hand_model), read_rig(calibration, unit)
    with share_bar(console, "measuring") as on_progress:
        tree = measure_stereo(left, right, rig, settings, gate, on_progress)
    tree |= origin(settings, tree["estimator"])
    table = stereo_table(tree)
    _show([table], tree, as_json=json)
    if folder is not None:
        facts = [(name, str(tree[name])) for name in ("weights", "settings", "version") if name in tree]
        page = Page("Against triangulated joints", (("left", left), ("right", right), *facts), (table,))
        _tell_written(write_results(folder, page, tree), console)


def _settings(
    estimator: str | None, checkpoint: Path | None, set_: list[str] | None, hand_model: str | None = None
) -> "Settings":
    from pipeline.settings import load_settings

    values = {
        "reconstruct.estimator": estimator,
        "reconstruct.checkpoint": checkpoint,
        "reconstruct.hand_model": hand_model,
    }
    return load_settings("offline", set_ or (), {key: value for key, value in values.items() if value is not None})


def _show(tables: Sequence["Table"], tree: "Tree", *, as_json: bool) -> None:
    """Print tables on standard output, or the numbers as JSON."""
    from pipeline.evaluation import print_table
    from stages.common.terminal import Terminal

    if as_json:
        sys.stdout.write(json_module.dumps(tree) + "\n")
        return
    console = Terminal(highlight=False)
    for table in tables:
        print_table(console, table)


def _tell_written(paths: Sequence[Path], console: "Console") -> None:
    for path in paths:
        console.print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)
