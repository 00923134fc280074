"""`hamba calibrate`: a camera's intrinsics and its lens's distortion, from a video of a board."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hamba_core.errors import ConfigurationError, OutputError
from hamba_core.text import counted
from pipeline.commands import run_options as options

if TYPE_CHECKING:
    from stages.calibration import Board, Solution, Views

_DEFAULT_BOARD = "9x6"
_POOR = 1.0  # px
_LITTLE = 0.6  # of the picture


def calibrate(
    source: Annotated[
        str | None,
        typer.Argument(help="A video, a folder or a glob of pictures, or a camera (until Ctrl-C).", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write; a picture is saved beside it.")] = Path("camera.yaml"),
    square: Annotated[float, typer.Option(metavar="METRES", help="Measured length of a square.")] = 0.03,
    charuco: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMNSxROWS",
            help=f"Number of squares of the ChArUco board. \\[default: {_DEFAULT_BOARD}]",
            show_default=False,
        ),
    ] = None,
    chessboard: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMNSxROWS", help="Use a chessboard with this many inner corners instead.", show_default=False
        ),
    ] = None,
    marker: Annotated[
        float | None,
        typer.Option(
            metavar="METRES", help="Length of a ChArUco marker. \\[default: 0.72 squares]", show_default=False
        ),
    ] = None,
    dictionary: Annotated[str, typer.Option(help="OpenCV's name of the marker dictionary.")] = "4X4_50",
    fisheye: Annotated[bool, typer.Option("--fisheye", help="For lenses wider than about 110°.")] = False,
    draw: Annotated[Path | None, typer.Option(metavar="PNG", help="Only draw the ChArUco board, for printing.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier files.")] = False,
    json: options.Json = False,
) -> None:
    """Measure a camera: film a board near and far, tilted, in every corner of the picture (docs/calibration.md)."""
    for path in (draw,) if draw is not None else (out, out.with_suffix(".png")):
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: expected no such file yet, found one; name another, or say --overwrite")
    if not 0 < square < 10:
        raise ConfigurationError(f"--square: expected metres above 0, found {square:g}; a square of 3 cm is 0.03")
    if charuco is not None and chessboard is not None:
        raise ConfigurationError("--chessboard: expected one board, found --charuco too; leave one of them out")
    if draw is not None:
        _draw(draw, _sizes("--charuco", charuco or _DEFAULT_BOARD), square)
        return
    if source is None:
        raise ConfigurationError("expected a video or pictures of a board, found no SOURCE; --draw makes a board")
    if out.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigurationError(f"--out: expected the name of a YAML file, found {out}; let it end in .yaml")
    from stages.calibration import charuco as charuco_board, chessboard as chess_board

    if chessboard is not None:
        board = chess_board(*_sizes("--chessboard", chessboard), square)
    else:
        board = charuco_board(*_sizes("--charuco", charuco or _DEFAULT_BOARD), square, marker, dictionary)
    _measure(source, board, out, fisheye=fisheye, as_json=json)


def _measure(source: str, board: "Board", out: Path, *, fisheye: bool, as_json: bool) -> None:
    import cv2

    from hamba_core.errors import SourceError
    from pipeline.terminal import print_json
    from stages.calibration import picture_of, solve
    from stages.common.files import write_whole

    views = _views(source, board, quiet=as_json)
    try:
        solution = solve(board, views.kept, views.size or (0, 0), fisheye=fisheye)
    except SourceError as error:
        raise SourceError(
            f"{source}: {error} (the board was seen in {views.seen} of {views.looked_at} frames)"
        ) from error
    solution.write(out)
    picture = out.with_suffix(".png")
    _, png = cv2.imencode(".png", cv2.cvtColor(picture_of(solution), cv2.COLOR_RGB2BGR))
    write_whole(picture, png.tobytes())
    summary = _summary(solution, views)
    if as_json:
        print_json({**summary, "written": [out, picture]})
        return
    sys.stderr.writelines(f"{line}\n" for line in _lines(summary))
    sys.stderr.write(f"wrote {out}\nwrote {picture}\nUse it: hamba run … --set source.lens.calibration={out}\n")


def _views(source: str, board: "Board", *, quiet: bool) -> "Views":
    """Look at all frames of the source, and return the views of the board. A live source ends by Ctrl-C."""
    from pipeline.terminal import live_progress
    from stages.calibration import Views
    from stages.common.terminal import Terminal
    from stages.sources import source_for

    opened = source_for(source)
    views = Views(board)
    with live_progress(Terminal(stderr=True, quiet=quiet)) as progress:
        try:
            info = opened.open()
            views.every = 0.0 if info.kind in ("image", "images") else views.every
            task = progress.add_task(info.name, total=info.frames, line="")
            for frame in opened.frames():
                if frame is not None:
                    views.add(frame)
                    kept = counted(len(views.kept), "view")
                    line = f"board seen {counted(views.seen, 'time')}, {kept}, {views.coverage():.0%} covered"
                    progress.update(task, advance=1, line=line)
        except KeyboardInterrupt:
            if not opened.live:
                raise
        finally:
            opened.close()
    return views


def _summary(solution: "Solution", views: "Views") -> dict[str, Any]:
    matrix = solution.matrix
    return {
        "size": solution.size,
        "fx": matrix[0, 0],
        "fy": matrix[1, 1],
        "cx": matrix[0, 2] + 0.5,
        "cy": matrix[1, 2] + 0.5,
        "distortion": solution.distortion,
        "fisheye": solution.fisheye,
        "error": solution.error,
        "focal_length_deviation": solution.deviation,
        "field_of_view": solution.field_of_view,
        "coverage": views.coverage(),
        "views": len(solution.views),
        "views_left_out": len(views.kept) - len(solution.views),
        "frames_with_board": views.seen,
        "frames_looked_at": views.looked_at,
    }


def _lines(of: dict[str, Any]) -> list[str]:
    left_out = f", {of['views_left_out']} left out as they do not fit" if of["views_left_out"] else ""
    across, down = of["field_of_view"]
    give_or_take = "" if of["fisheye"] else f" ± {of['focal_length_deviation']:.1f}"
    lines = [
        f"board seen in {of['frames_with_board']} of {of['frames_looked_at']} frames; {counted(of['views'], 'view')} "
        f"used{left_out}, which cover {of['coverage']:.0%} of the picture",
        f"error {of['error']:.2f} px",
        f"fx {of['fx']:.1f}{give_or_take}, fy {of['fy']:.1f}, cx {of['cx']:.1f}, cy {of['cy']:.1f} px; "
        f"field of view {across:.1f}° x {down:.1f}°",
    ]
    if of["error"] > _POOR:
        lines.append(
            "That is a large error: is the board flat, its kind right, the picture sharp? Look at the picture."
        )
    if of["coverage"] < _LITTLE:
        lines.append("The board was not seen in all of the picture: film it at the borders and in the corners too.")
    return lines


def _draw(path: Path, squares: tuple[int, int], square: float) -> None:
    from PIL import Image

    from stages.calibration import draw_charuco
    from stages.common.files import output_error

    try:
        Image.fromarray(draw_charuco(*squares, square)).save(path, "PNG", dpi=(300, 300))
    except OSError as error:
        raise output_error(path, error) from error
    sys.stderr.write(
        f"wrote {path}: print it on A4 at its own size, measure a square, and give its length with --square\n"
    )


def _sizes(option: str, text: str) -> tuple[int, int]:
    columns, cross, rows = text.lower().partition("x")
    if not (cross and columns.isdecimal() and rows.isdecimal()):
        raise ConfigurationError(f"{option}: expected columns and rows, as in {_DEFAULT_BOARD}, found {text!r}")
    return int(columns), int(rows)
