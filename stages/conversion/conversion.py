"""Convert a recording of the generic hand into one of a user's MANO hand.

It is read twice: for the mean shape of each track, and for its hands. MANO gets one shape a track.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import NoHandsError, SourceError
from hamba_core.hand import HandModel, ModelConversion, Side, load_generic_hand, mirrored_points
from stages.packets import Choice, FrameResult, Hand, HandTopology
from stages.recording import Recorder, Recording, read_recording

_BATCH: Final = 32  # frames
_READING: Final = 0.1  # of the progress

_Key = tuple[int, Side]


@dataclass(frozen=True)
class Residual:
    """How far the converted hands lie from the surface of those that were recorded."""

    hands: int
    mean: float  # m, of the hands' mean distances
    p95: float  # m
    worst: float  # m

    def __str__(self) -> str:
        """Return a text as in `2.1 mm from the recorded surface on average (95 %: 2.6 mm, at worst 4.0 mm)`."""
        mean, p95, worst = (f"{1e3 * value:.1f} mm" for value in (self.mean, self.p95, self.worst))
        return f"{mean} from the recorded surface on average (95 %: {p95}, at worst {worst})"


def open_convertible(path: Path, take: int | None = None) -> Recording:
    """Open a recording of the generic hand. Raises SourceError where it is another's, or none."""
    recording = read_recording(path, take)
    if recording.run.hand_model != "generic":
        raise SourceError(
            f"{path}: expected a recording of the generic hand, found one of {recording.run.hand_model}; "
            "its parameters are that model's already"
        )
    return recording


def convert_recording(
    path: Path,
    target: Path,
    model: HandModel,
    take: int | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Residual:
    """Write the hands of a recording of the generic hand, as hands of `model`, into a new recording at `target`.

    Tracks, times and what is known of each hand stay; joints are the model's own. `on_progress` is told the share that
    is done. Raises SourceError where the recording is of another hand model, NoHandsError where it has no hands,
    OutputError, WireError.
    """
    recording, source = open_convertible(path, take), load_generic_hand()
    shapes, frames = _mean_shapes(recording)
    if not shapes:
        raise NoHandsError(f"{path}: expected hands to convert, found none in {frames} frames")
    conversions: dict[_Key, ModelConversion] = {}
    for number, (key, betas) in enumerate(shapes.items()):
        conversions[key] = ModelConversion(source, model, betas)
        on_progress(_READING * (number + 1) / len(shapes))
    distances: list[float] = []
    run = replace(recording.run_info(), topology=HandTopology.of(model))
    with Recorder(target) as recorder:
        recorder.open(run)
        for results in _batches(recording.results()):
            for result in _converted(results, conversions, model, distances):
                recorder.write(result)
            on_progress(_READING + (1 - _READING) * min(results[-1].frame.index / max(frames, 1), 1.0))
        residual = _residual(np.array(distances))
        status = recording.last_status()
        if status is not None:
            choice = Choice("hand model", model.name, f"converted from the generic hand, {residual}")
            others = tuple(choice for choice in status.choices if choice.subject != "hand model")
            recorder.status(replace(status, choices=(*others, choice)))
    on_progress(1.0)
    return residual


def _mean_shapes(recording: Recording) -> tuple[dict[_Key, Array], int]:
    """Return each track's mean betas (10,), and the number of frames."""
    sums: dict[_Key, Array] = {}
    counts: dict[_Key, int] = {}
    frames = 0
    for result in recording.results():
        frames += 1
        for hand in result.hands:
            key = (hand.track_id, hand.side)
            sums[key] = sums.get(key, 0.0) + hand.betas.astype(np.float64)
            counts[key] = counts.get(key, 0) + 1
    return {key: total / counts[key] for key, total in sums.items()}, frames


def _batches(results: Iterator[FrameResult]) -> Iterator[list[FrameResult]]:
    while batch := list(islice(results, _BATCH)):
        yield batch


def _converted(
    results: list[FrameResult], conversions: dict[_Key, ModelConversion], model: HandModel, distances: list[float]
) -> Iterator[FrameResult]:
    """Yield the results with converted hands, and add how far each lies from what was recorded, m."""
    converted: dict[tuple[int, int], Hand] = {}  # by place of the frame and of the hand in it
    for key, conversion in conversions.items():
        places = [
            (f, h)
            for f, result in enumerate(results)
            for h, hand in enumerate(result.hands)
            if (hand.track_id, hand.side) == key
        ]
        if not places:
            continue
        hands = [results[f].hands[h] for f, h in places]
        # Parameters are those of a right hand; the translation alone is where the real hand is.
        given = [
            np.stack([getattr(hand, name).astype(np.float64) for hand in hands])
            for name in ("global_orient", "hand_pose", "betas", "translation")
        ]
        given[3] = mirrored_points(given[3], key[1])
        answer = conversion.convert(*given)
        distances.extend(answer.distance.tolist())
        for i, (place, hand) in enumerate(zip(places, hands, strict=True)):
            camera = results[place[0]].frame.camera
            translation = mirrored_points(answer.translation[i], key[1])
            posed = model.pose(answer.global_orient[i], answer.hand_pose[i], answer.betas, translation, key[1])
            converted[place] = replace(
                hand,
                global_orient=answer.global_orient[i].astype(np.float32),
                hand_pose=answer.hand_pose[i].astype(np.float32),
                betas=answer.betas.astype(np.float32),
                translation=translation.astype(np.float32),
                joints=posed.joints.astype(np.float32),
                joints_2d=camera.project(posed.joints).astype(np.float32),
                vertices=posed.vertices.astype(np.float32),
            )
    for f, result in enumerate(results):
        yield replace(result, hands=tuple(converted[f, h] for h in range(len(result.hands))))


def _residual(distances: Array) -> Residual:
    return Residual(
        len(distances), float(distances.mean()), float(np.quantile(distances, 0.95)), float(distances.max())
    )
