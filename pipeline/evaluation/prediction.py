"""A prediction runs an estimator over a published evaluation set and writes the zip that the set's server takes.

It can be resumed.
"""

import json
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import OutputError, SourceError
from hamba_core.hand import HandModel
from pipeline.evaluation.augmentation import augmented, fused
from pipeline.evaluation.box_look import look_in_box
from pipeline.evaluation.published_data import Answer, PublishedData, Sample
from pipeline.settings import Settings
from pipeline.without_effect import warn_without_effect
from stages.common.files import output_error, write_whole
from stages.detection import HandDetection, HandNetwork
from stages.packets import Choice, Detections, Frame, FrameMeta, HandBox
from stages.reconstruction import Reconstruction, load_hand_model

SUBMISSION: Final = "pred.zip"
_STATE: Final = "prediction.json"
_TOGETHER: Final = 32
"""Pictures that are begun at once, without augmentation."""
_STANDING: Final = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""A set wants an answer for each picture: where nothing is found, it is a resting hand."""
_FAR: Final = 0.6  # m


class Predictor:
    """A context manager that gives answers for samples, from the estimator that settings ask for.

    The network takes the samples' own boxes. Other estimators need joints: the detector looks for them in each picture,
    and where it finds none, its second network looks in the sample's own box; there is no answer where that sees no
    hand either. The side is the sample's.
    """

    def __init__(self, settings: Settings) -> None:
        self.hand_model: HandModel = load_hand_model(settings.reconstruct)
        self._reconstruction = Reconstruction(settings.reconstruct, self.hand_model)
        warn_without_effect(settings, self._reconstruction.estimator, stills=True)
        self._detection: HandDetection | None = None
        self._looking: HandNetwork | None = None
        if self._reconstruction.estimator != "hamba":
            one_hand = settings.detect.model_copy(update={"max_hands": 1, "mode": "image"})
            self._detection = HandDetection(one_hand, stills=True, maps=self._reconstruction.wants_maps)
        self._stack = ExitStack()
        self._asked = 0

    def __enter__(self) -> Self:
        self._stack.enter_context(self._reconstruction)
        if self._detection is not None:
            self._stack.enter_context(self._detection)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def estimator(self) -> str:
        """The name of the estimator in use."""
        return self._reconstruction.estimator

    @property
    def in_flight(self) -> int:
        """The number of calls of `begin` that may be under way at once."""
        return self._reconstruction.in_flight

    def choices(self) -> tuple[Choice, ...]:
        """Return what is in use and why."""
        return self._reconstruction.choices()

    def begin(self, samples: Sequence[Sample]) -> Callable[[], list[Answer | None]]:
        """Start on these samples, and return a function that waits for their answers: None if no hand was found."""
        finish = self._reconstruction.begin([self._seen(sample) for sample in samples])

        def answers() -> list[Answer | None]:
            found: list[Answer | None] = []
            for result in finish():
                hand = result.hands[0] if result.hands else None
                points = (hand.joints, hand.vertices) if hand else ()
                found.append(Answer(*(p.astype(np.float64) for p in points)) if points else None)
            return found

        return answers

    def resting(self, sample: Sample) -> Answer:
        """Return a resting hand in the middle of the box, to stand in for a missing answer."""
        left, top, right, bottom = sample.box.tolist()
        place = _FAR * sample.camera.rays(np.array([(left + right) / 2, (top + bottom) / 2]))
        flat = np.tile(np.eye(3), (15, 1, 1))
        posed = self.hand_model.pose(_STANDING, flat, np.zeros(10), place, sample.side)
        return Answer(posed.joints, posed.vertices)

    def _seen(self, sample: Sample) -> Detections:
        """Return the sample in the form that tracking gives; every sample is a hand of its own."""
        self._asked += 1
        height, width = sample.image.shape[:2]
        meta = FrameMeta(sample.name, self._asked, float(self._asked), self._asked, width, height, sample.camera)
        frame = Frame(meta, sample.image)
        if self._detection is None:
            nowhere = np.zeros((21, 3), np.float32)
            box = HandBox(sample.side, 1.0, sample.box, nowhere[:, :2], nowhere, track_id=self._asked)
            return Detections(frame, (box,))
        found = self._detection.process(frame)
        best = max(found.boxes, key=lambda box: box.score, default=None) or self._in_own_box(frame, sample)
        boxes = () if best is None else (replace(best, side=sample.side, track_id=self._asked),)
        return replace(found, boxes=boxes)

    def _in_own_box(self, frame: Frame, sample: Sample) -> HandBox | None:
        """Return the hand in the sample's box, or None if none is seen there."""
        if self._looking is None:
            self._looking = HandNetwork()
        return look_in_box(self._looking, frame.image, sample.box, sample.side, maps=self._reconstruction.wants_maps)


def predict(
    data: PublishedData,
    settings: Settings,
    folder: Path,
    *,
    augment: bool = False,
    limit: int | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> "Prediction":
    """Answer the first `limit` samples, all if none is given, and write pred.zip into `folder`, as the server takes it.

    Answers that an earlier call with the same settings left there are kept, and it goes on from them. `augment` fuses
    95 looks at each hand. Raises HambaError.
    """
    if not len(data):
        raise SourceError(f"{data.folder}: expected a data set with pictures, found a list of none")
    count = len(data) if limit is None else min(limit, len(data))
    with Predictor(settings) as predictor:
        prediction = Prediction(folder, data.name, count, _identity(settings, predictor, augment=augment))
        prediction.open(len(predictor.hand_model.v_template))
        missing = prediction.missing()
        done = count - len(missing)
        for number, sample, answer in _answers(data, predictor, missing, settings, augment=augment):
            prediction.put(
                number, data.published(answer or predictor.resting(sample), sample), found=answer is not None
            )
            done += 1
            on_progress(done / count)
        prediction.choices = predictor.choices()
    prediction.write_submission()
    return prediction


def _identity(settings: Settings, predictor: Predictor, *, augment: bool) -> dict[str, object]:
    """Return what has to be the same if one run is to go on with another's answers."""
    return {
        "estimator": predictor.estimator,
        "augmented": augment,
        "reconstruct": settings.reconstruct.model_dump(mode="json", exclude_defaults=True),
    }


def _answers(
    data: PublishedData, predictor: Predictor, numbers: Sequence[int], settings: Settings, *, augment: bool
) -> Iterator[tuple[int, Sample, Answer | None]]:
    """Yield each sample and its answer, in order, with as many under way at once as the estimator gains from."""
    together = 1 if augment else _TOGETHER
    waiting: deque[tuple[list[int], list[Sample], Callable[[], list[Answer | None]]]] = deque()
    for start in range(0, len(numbers), together):
        chosen = list(numbers[start : start + together])
        samples = [data.sample(number) for number in chosen]
        looks = augmented(samples[0], settings.reconstruct.rescale) if augment else samples
        waiting.append((chosen, samples, predictor.begin(looks)))
        if len(waiting) >= max(predictor.in_flight, 1):
            yield from _settled(*waiting.popleft(), augment=augment)
    while waiting:
        yield from _settled(*waiting.popleft(), augment=augment)


def _settled(
    numbers: list[int], samples: list[Sample], finish: Callable[[], list[Answer | None]], *, augment: bool
) -> Iterator[tuple[int, Sample, Answer | None]]:
    answers = finish()
    yield from zip(numbers, samples, [fused(answers)] if augment else answers, strict=True)


class Prediction:
    """Answers on disk, one by one, so that little is lost when the run is stopped."""

    def __init__(self, folder: Path, data: str, count: int, identity: dict[str, object]) -> None:
        self.folder, self.count = folder, count
        self.choices: tuple[Choice, ...] = ()
        self._identity: dict[str, object] = json.loads(json.dumps({"data": data, "count": count, **identity}))

    def open(self, vertices: int) -> None:
        """Begin, or go on with what is there. Raises OutputError if that belongs to another prediction."""
        state = self.folder / _STATE
        shapes = {"joints": (self.count, 21, 3), "vertices": (self.count, vertices, 3), "found": (self.count,)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if state.exists():
                if json.loads(state.read_text()) != self._identity:
                    raise OutputError(
                        f"{self.folder}: expected answers that were begun with the same data and settings, found "
                        f"others ({state}); name another folder with --out"
                    )
                arrays = {name: np.load(self._file(name), "r+") for name in shapes}
            else:
                arrays = {
                    name: np.lib.format.open_memmap(self._file(name), "w+", np.float32, shape)
                    for name, shape in shapes.items()
                }
                for array in arrays.values():
                    array[:] = np.nan
                write_whole(state, json.dumps(self._identity, indent=1).encode())
        except (ValueError, OSError) as error:
            if isinstance(error, OSError):
                raise output_error(self.folder, error) from error
            raise OutputError(
                f"{self.folder}: expected answers of an earlier run, found: {error}; remove it"
            ) from error
        if any(arrays[name].shape != shape for name, shape in shapes.items()):
            raise OutputError(f"{self.folder}: expected answers for {self.count} pictures, found others; remove it")
        self._joints, self._vertices, self._found = (arrays[name] for name in shapes)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def missing(self) -> list[int]:
        """Return the samples without an answer yet."""
        result: list[int] = np.flatnonzero(np.isnan(self._found)).tolist()
        return result

    @property
    def not_found(self) -> int:
        """The number of pictures in which no hand was found."""
        return int((self._found == 0).sum())

    def put(self, number: int, answer: Answer, *, found: bool) -> None:
        """Keep an answer."""
        self._joints[number], self._vertices[number] = answer.joints, answer.vertices
        self._found[number] = found  # last: a number here says that the rest is whole

    @property
    def submission(self) -> Path:
        """The zip for the server."""
        return self.folder / SUBMISSION

    def write_submission(self) -> None:
        """Write `pred.zip` with `pred.json` in it: joints of each picture and vertices of each. Raises OutputError."""
        part = self.submission.with_name(f".{SUBMISSION}.part")
        try:
            with (
                zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive,
                archive.open("pred.json", "w", force_zip64=True) as file,
            ):
                for before, points in (("[", self._joints), (",", self._vertices)):
                    file.write(before.encode())
                    for number, one in enumerate(points):
                        file.write((("," if number else "[") + _as_json(one)).encode())
                    file.write(b"]")
                file.write(b"]")
            part.replace(self.submission)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise output_error(self.submission, error) from error


def _as_json(points: Array) -> str:
    """Return points (N, 3), metres, rounded to a micrometre."""
    return "[" + ",".join(f"[{x:.6f},{y:.6f},{z:.6f}]" for x, y, z in points.tolist()) + "]"
