"""This evaluation tells how steady the hands of a recording are, with or without truth."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.errors import SourceError, error_reason
from hamba_core.hand import Side
from hamba_core.text import counted
from hamba_core.untrusted import DocumentError
from pipeline.evaluation.matching import matched
from pipeline.evaluation.motion import SHORTEST, Stretch, added_lag, measure_motion
from pipeline.evaluation.report import Table, number
from pipeline.evaluation.scores import Tree, plain
from stages.common.track_counts import TrackCounter
from stages.packets import FrameResult, Hand
from stages.recording import read_recording
from stages.synthetic import ClipTruth, load_truth

_UNITS: Final = {
    "acceleration_error": "mm/s²",
    "jitter": "mm/s³",
    "jitter_error": "mm/s³",
    "shape_jitter": "mm/s³",
    "jitter_2d": "px/frame³",
    "tremble": "mm RMS",
    "tremble_2d": "px RMS",
    "lag": "ms",
}
_LONGEST_STEP: Final = 1.6
"""Of the usual time between frames: after a longer one, a stretch ends."""


def measure_video(
    path: Path,
    truth: ClipTruth | None = None,
    raw: Path | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Tree:
    """Measure how steady a recording's hands are, and how late if `raw` is the same video's without smoothing.

    Raises SourceError, WireError.
    """
    results = _read(path, on_progress)
    counter = TrackCounter()
    for result in results:
        counter.add(result)
    rate = _rate(results)
    stretches = list(stretches_of(results, rate, truth))
    counts = counter.counts
    seconds = results[-1].frame.pts - results[0].frame.pts if len(results) > 1 else 0.0
    tree = {
        "kind": "video",
        "recording": str(path),
        "frames": len(results),
        "seconds": seconds,
        "rate": rate,
        "stretches": len(stretches),
        "motion": asdict(measure_motion(stretches)),
        "units": dict(_UNITS),
        "tracks": asdict(counts),
        "per_minute": {
            name: 60 * getattr(counts, name) / seconds if seconds else None
            for name in ("births", "deaths", "gaps", "side_flips")
        },
    }
    if raw is not None:
        tree["added_lag"] = _lag_against(stretches, list(stretches_of(_read(raw, lambda share: None), rate, None)))
    result_tree: Tree = plain(tree)
    return result_tree


def read_clip_truth(path: Path) -> ClipTruth:
    """Return the truth of a synthetic clip, as `stages.synthetic` writes it. Raises SourceError."""
    try:
        return load_truth(path)
    except (OSError, DocumentError) as error:
        raise SourceError(
            f"{path}: expected the truth of a synthetic clip (.npz), found: {error_reason(error)}"
        ) from error


def video_table(tree: Tree) -> Table:
    """Return all measures with their units."""
    motion, tracks, rates = tree["motion"], tree["tracks"], tree["per_minute"]
    rows = [
        ("acceleration error", number(motion["acceleration_error"], 0), _UNITS["acceleration_error"]),
        ("jitter (third difference)", number(motion["jitter"], 0), _UNITS["jitter"]),
        ("jitter of the error", number(motion["jitter_error"], 0), _UNITS["jitter_error"]),
        ("jitter in the picture", number(motion["jitter_2d"], 3), _UNITS["jitter_2d"]),
        ("tremble of the mesh's middle", number(motion["tremble"], 2), _UNITS["tremble"]),
        ("tremble in the picture", number(motion["tremble_2d"], 2), _UNITS["tremble_2d"]),
        ("behind the truth", number(motion["lag"], 1), _UNITS["lag"]),
        ("behind the raw hands", number(tree.get("added_lag"), 1), "ms"),
        ("gaps", str(tracks["gaps"]), f"{number(rates['gaps'])}/min, {tracks['gap_seconds']:.2f} s in all"),
        ("births and deaths", f"{tracks['births']} and {tracks['deaths']}",
         f"{number(rates['births'])} and {number(rates['deaths'])}/min"),
        ("side flips", str(tracks["side_flips"]), f"{number(rates['side_flips'])}/min"),
    ]  # fmt: skip
    return Table(
        f"{counted(tree['frames'], 'frame')}, {tree['seconds']:.1f} s at {number(tree['rate'])} frames/s",
        ("measure", "value", "unit, rate"), tuple(rows),
        f"Over {tree['stretches']} stretches without a gap. Tremble: what is left of the middle without its running "
        "mean over 11 frames.",
    )  # fmt: skip


def _read(path: Path, on_progress: Callable[[float], None]) -> list[FrameResult]:
    recording = read_recording(path)
    status = recording.last_status()
    expected = status.frames if status else 0
    results = []
    for result in recording.results():
        results.append(result)
        on_progress(min(len(results) / expected, 1.0) if expected else 0.0)
    return results


def _rate(results: Sequence[FrameResult]) -> float:
    steps = np.diff([result.frame.pts for result in results])
    steps = steps[steps > 0]
    return float(1 / np.median(steps)) if len(steps) else float("nan")


def stretches_of(results: Sequence[FrameResult], rate: float, truth: ClipTruth | None) -> Iterator[Stretch]:
    """Yield each track's stretches without a gap, of one side, long enough; with the true hand if truth is given."""
    open_runs: defaultdict[tuple[int, Side], list[tuple[FrameResult, Hand, int | None]]] = defaultdict(list)
    previous: float | None = None
    for result in results:
        pts = result.frame.pts
        together = previous is not None and 0 < pts - previous <= _LONGEST_STEP / rate
        true_hands = _true_hands(result, truth)
        here = {(hand.track_id, hand.side): hand for hand in result.hands}
        for key in [key for key in open_runs if key not in here or not together]:
            yield from _finished(open_runs.pop(key), key, rate, truth)
        for place, (key, hand) in enumerate(here.items()):
            open_runs[key].append((result, hand, true_hands.get(place)))
        previous = pts
    for key, run in open_runs.items():
        yield from _finished(run, key, rate, truth)


def _true_hands(result: FrameResult, truth: ClipTruth | None) -> dict[int, int]:
    """Return which true hand each of the frame's hands is."""
    if truth is None or result.frame.index >= len(truth.joints_2d):
        return {}
    true = list(truth.joints_2d[result.frame.index])
    pairs = matched([hand.joints_2d for hand in result.hands], true)
    return {found: which for which, found in pairs.items()}


def _finished(
    run: Sequence[tuple[FrameResult, Hand, int | None]], key: tuple[int, Side], rate: float, truth: ClipTruth | None
) -> Iterator[Stretch]:
    if len(run) < SHORTEST:
        return
    joints = np.array([hand.joints for _, hand, _ in run], np.float64)
    meshes = all(len(hand.vertices) for _, hand, _ in run)
    centroid = np.array([(hand.vertices if meshes else hand.joints).mean(0, np.float64) for _, hand, _ in run])
    which = [true for _, _, true in run]
    true_joints = None
    if truth is not None and which[0] is not None and len(set(which)) == 1:
        true_joints = np.array([truth.joints[result.frame.index, which[0]] for result, _, _ in run], np.float64)
    yield Stretch(
        rate, joints, np.array([hand.joints_2d for _, hand, _ in run], np.float64), centroid, true_joints,
        name=(run[0][0].frame.index, len(run), key[1]),
    )  # fmt: skip


def _lag_against(own: Sequence[Stretch], raw: Sequence[Stretch]) -> float:
    """Return by how much the same stretches come later, ms."""
    references = {stretch.name: stretch for stretch in raw}
    # A track's number may differ from run to run; its side and its time do not, unless two hands share both.
    shared = [stretch for stretch in own if stretch.name in references]
    return added_lag(shared, [references[stretch.name] for stretch in shared])
