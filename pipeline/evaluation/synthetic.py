"""This evaluation runs an estimator over the held-out scenes and measures every hand against the truth."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Queue
from threading import Event, Thread
from typing import Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.view import Intrinsics
from pipeline.evaluation.chain import Answers, Chain, opened_chain, opened_estimator, with_camera
from pipeline.evaluation.gallery import Gallery
from pipeline.evaluation.groups import groups_of
from pipeline.evaluation.matching import matched
from pipeline.evaluation.observations import (
    F_SCORE_EVERY,
    Errors,
    Found,
    Observation,
    errors_of,
    found_boxes,
    found_hands,
)
from pipeline.evaluation.scenes import FRAME_RATE, Scene
from pipeline.settings import Settings
from stages.packets import Choice, Frame, FrameResult
from stages.reconstruction import Reconstruction
from stages.synthetic import HandTruth

BASELINE: Final = "MediaPipe"
RAW, SMOOTHED = "raw", "smoothed"

_SEEN: Final = 0.05
"""Of its vertices: with less of it in view, a hand is not there."""
_AHEAD: Final = 8
"""Frames that are drawn while others are measured."""


@dataclass
class Measured:
    """What a run over the scenes gave. `measure_synthetic` makes it."""

    estimator: str
    methods: tuple[str, ...]
    choices: tuple[Choice, ...] = ()
    frames: int = 0
    observations: list[Observation] = field(default_factory=list)
    false_hands: dict[str, int] = field(default_factory=dict)  # found where none is, by method
    found_hands: dict[str, int] = field(default_factory=dict)  # all that were found, by method
    gallery: Gallery = field(default_factory=Gallery)


def measure_synthetic(
    settings: Settings, scenes: Sequence[Scene], on_progress: Callable[[float], None] = lambda share: None
) -> Measured:
    """Measure the estimator that settings ask for on these scenes. Raises HambaError.

    `on_progress` is told the share that is done, 0 to 1. The detector's own joints are measured beside it, on the same
    hands. If a scene's camera is not the one that would be assumed, its hands are placed a second time, as if it were.
    """
    total, done = sum(scene.frames_expected for scene in scenes), 0
    with opened_chain(settings) as chain, opened_estimator(settings) as guessing:
        smooth = settings.smooth.strength > 0
        measured = Measured(chain.estimator, (BASELINE, RAW, SMOOTHED) if smooth else (BASELINE, RAW))
        measured.gallery.method = SMOOTHED if smooth else RAW
        measured.false_hands = dict.fromkeys(measured.methods, 0)
        measured.found_hands = dict.fromkeys(measured.methods, 0)
        for scene in scenes:
            chain.cut()
            before: dict[int, Array] = {}
            with _drawn_ahead(scene) as frames:
                for frame, truth in frames:
                    _measure(scene, frame, truth, before, chain, guessing, measured)
                    before = {index: hand.joints for index, hand in enumerate(truth)}
                    measured.frames += 1
                    done += 1
                    on_progress(done / total)
        measured.choices = chain.choices()  # some count what was done
    return measured


def _measure(
    scene: Scene,
    frame: Frame,
    truth: tuple[HandTruth, ...],
    before: dict[int, Array],
    chain: Chain,
    guessing: Reconstruction,
    measured: Measured,
) -> None:
    """Measure one frame."""
    answers = chain.answer(frame)
    found = _found(answers, measured.methods)
    guessed = _guessed(answers, guessing)
    there = [index for index, hand in enumerate(truth) if hand.visibility >= _SEEN]
    size = (frame.meta.width, frame.meta.height)
    with_f_scores = frame.meta.index % F_SCORE_EVERY == 0
    observations = []
    for index in there:
        hand = truth[index]
        step = np.linalg.norm(hand.joints - before[index], axis=1).mean() if index in before else np.nan
        speed = float(step * FRAME_RATE)
        groups = groups_of(hand, [o for o in truth if o is not hand], scene.view, size, speed)
        observations.append(
            Observation(
                scene.name, index, frame.meta.index, frame.meta.pts, groups, hand.visibility, speed,
                hand.joints.astype(np.float32), hand.side,
            )
        )  # fmt: skip
    for method, hands in found.items():
        pairs = matched([f.joints_2d for f in hands], [truth[index].joints_2d for index in there])
        measured.found_hands[method] += len(hands)
        measured.false_hands[method] += len(hands) - len(pairs)
        for place, which in pairs.items():
            observation, one, hand = observations[place], hands[which], truth[there[place]]
            errors: Errors = errors_of(one, hand, with_f_scores=with_f_scores)
            if method == RAW and one.track_id in guessed:
                apart = guessed[one.track_id] - hand.joints[0]
                errors["translation_guessed"] = 1e3 * float(np.linalg.norm(apart))
            observation.errors[method] = errors
            observation.found[method] = Found(
                one.side, one.track_id, one.seen, one.joints, one.joints_2d, one.placed
            )  # without the mesh, which is large
    measured.gallery.offer(frame.image, observations, truth)
    measured.observations += observations


def _found(answers: Answers, methods: Sequence[str]) -> dict[str, list[Found]]:
    seen = frozenset(box.track_id for box in answers.tracked.boxes if box.seen and box.track_id is not None)
    found = {BASELINE: found_boxes(answers.tracked.boxes), RAW: found_hands(answers.raw.hands, seen)}
    if SMOOTHED in methods:
        found[SMOOTHED] = found_hands(answers.smoothed.hands, seen)
    return found


def _guessed(answers: Answers, guessing: Reconstruction) -> dict[int, Array]:
    """Return wrists (3,) by track, as the assumed camera places them; it is empty if that is the true camera."""
    meta = answers.tracked.frame.meta
    assumed = Intrinsics.estimate(meta.width, meta.height)
    if abs(assumed.fx / meta.camera.fx - 1) < 0.01:
        return {}
    result: FrameResult = guessing.process(with_camera(answers.tracked, assumed))
    return {hand.track_id: hand.joints[0].astype(np.float64) for hand in result.hands}


class _drawn_ahead:  # noqa: N801 - used as a function
    """The frames of a scene, drawn by a thread of their own, a few ahead: drawing and measuring use two processors."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._queue: Queue[tuple[Frame, tuple[HandTruth, ...]] | Exception | None] = Queue(_AHEAD)
        self._stop = Event()
        self._thread = Thread(target=self._draw, name="hamba draw", daemon=True)

    def __enter__(self) -> Iterator[tuple[Frame, tuple[HandTruth, ...]]]:
        self._thread.start()
        return self._frames()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            while not self._queue.empty():
                self._queue.get_nowait()
            self._thread.join(0.05)

    def _draw(self) -> None:
        try:
            for item in self._scene.frames():
                if self._stop.is_set():
                    return
                self._queue.put(item)
        except Exception as error:  # noqa: BLE001 - raised where the frames are used
            self._queue.put(error)
        else:
            self._queue.put(None)

    def _frames(self) -> Iterator[tuple[Frame, tuple[HandTruth, ...]]]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
