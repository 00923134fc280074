"""The `hamba` estimator turns tracked boxes into hands with the Hamba network."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import PipelineError
from hamba_core.hand import HandModel
from hamba_core.packages import needed_for
from hamba_core.view import square_around
from stages.common.proximity import tight_box
from stages.packets import Choice, Detections, Frame, Hand, HandBox
from stages.reconstruction.estimator import Estimator
from stages.reconstruction.hamba.engine import read_row
from stages.reconstruction.hamba.hands import View, hand_in_picture
from stages.reconstruction.hamba.settings import NetworkSettings
from stages.reconstruction.hamba.sharing import SharedModel
from stages.reconstruction.left_out import left_out_choices

if TYPE_CHECKING:
    from stages.reconstruction.hamba.engine import Answer
    from stages.reconstruction.hamba.opening import Model

FORGET_AFTER: Final = 60
"""Frames without a hand after which its last place is forgotten."""

# Why a hand is left out.
TOO_LARGE: Final = "its box is far larger than the picture"
BEHIND_CAMERA: Final = "the network puts it behind the camera"

log = logging.getLogger(__name__)


class HambaEstimator(Estimator):
    """Cuts a crop for each tracked box, runs the network on all of them at once, and puts the hands into the picture.

    A box that tracking gave no id yet is passed over. Where a box is not the detector's own but a guess
    (`HandBox.seen` is false), the crop is cut around the joints that the network itself last found for that track; if
    they are still under way, they are waited for. A hand that the network puts behind the camera is left out of its
    frame and counted by cause in `left_out`; the first of them is logged.

    `hand_model` is the user's MANO hand or its file; without it, the one in the weights or beside them.
    `live_hands` is how many hands a frame has at most where each frame is waited for; without it, what counts is how
    many hands come through. `on_step` is told what takes time while it opens. With a `shared` model, that one is used,
    whatever else is given.
    """

    name = "hamba"
    batch = 16
    in_flight = 1

    def __init__(
        self,
        checkpoint: Path,
        hand_model: HandModel | Path | None = None,
        settings: NetworkSettings | None = None,
        *,
        live_hands: int | None = None,
        on_step: Callable[[str], None] = lambda step: None,
        shared: SharedModel | None = None,
    ) -> None:
        self._checkpoint, self._hand_model, self._settings = checkpoint, hand_model, settings or NetworkSettings()
        self._live_hands, self._on_step, self._shared = live_hands, on_step, shared
        self._model: Model | None = None
        self._choices: tuple[Choice, ...] = ()
        self._under_way: deque[_Run] = deque()
        self._places: dict[int, _Place] = {}
        self._frames = 0
        self.left_out: Counter[str] = Counter()
        """Hands left out so far, by cause."""

    def open(self) -> None:
        """Load the network. Raises WeightsError, HandModelError, ConfigurationError, DeviceError, DependencyError."""
        if self._shared is not None:
            self._model = self._shared.join()
        else:
            with needed_for("the Hamba network"):
                from stages.reconstruction.hamba.opening import open_model

            self._model = open_model(
                self._checkpoint, self._hand_model, self._settings, live_hands=self._live_hands, on_step=self._on_step
            )
        self.batch, self.in_flight = self._model.frames, self._model.engine.in_flight

    def close(self) -> None:
        """Let the network go, with what is under way."""
        model, self._model = self._model, None
        if model is not None:
            self._choices = (*model.choices, *model.engine.choices())
            model.engine.close()
        self._under_way.clear()
        self._places.clear()

    def choices(self) -> tuple[Choice, ...]:
        """Return weights, device, precision, kernels, batches and graphs; it is empty before `open`."""
        model = self._model
        of_model = self._choices if model is None else (*model.choices, *model.engine.choices())
        return (*of_model, *left_out_choices(self.left_out))

    def reconstruct(self, detections: Sequence[Detections]) -> list[tuple[Hand, ...]]:
        """Return the hands of each frame, in order of time. Hands of several frames go through the network together."""
        return self.begin(detections)()

    def begin(self, detections: Sequence[Detections]) -> Callable[[], list[tuple[Hand, ...]]]:
        """Start on these frames, and return a function that waits for the hands of each.

        Frames come in order of time, also from call to call.
        Raises DeviceError, and so does the waiting.
        """
        hands: list[list[Hand]] = [[] for _ in detections]
        runs: list[_Run] = []
        waiting: list[View] = []
        for place, packet in enumerate(detections):
            self._frames += 1
            guessed = {box.track_id for box in packet.boxes if not box.seen}
            if any(view.track_id in guessed for view in waiting):
                runs.append(self._start(waiting, hands))
                waiting = []
            if any(view.track_id in guessed for run in self._under_way for view in run.views):
                # The place of this hand comes from a frame that is still under way in the network.
                self._settle(self._under_way[-1])
            waiting += [
                self._view(place, packet.frame, box, box.track_id) for box in packet.boxes if box.track_id is not None
            ]
        if waiting:
            runs.append(self._start(waiting, hands))
        self._forget()

        def finish() -> list[tuple[Hand, ...]]:
            for run in runs:
                self._settle(run)
                if run.error is not None:
                    raise run.error
            return [tuple(of_frame) for of_frame in hands]

        return finish

    def _view(self, place: int, frame: Frame, box: HandBox, track_id: int) -> View:
        """Return where to look for a hand."""
        last = self._places.get(track_id)
        if last is not None and not box.seen:
            box = replace(box, box=last.box)
        return View(place, self._frames, frame, box, track_id, square_around(box.box, self._settings.rescale))

    def _start(self, views: Sequence[View], hands: list[list[Hand]]) -> "_Run":
        """Put these views on their way; `_settle` adds their hands to those of their frames."""
        from stages.reconstruction.hamba.engine import Crop

        if self._model is None:
            raise _not_open()
        sane = []
        for view in views:
            if view.can_be_cut:
                sane.append(view)
            else:
                self._leave_out(view, TOO_LARGE)
        crops = [Crop(view.frame.image, view.square, view.box.side == "left") for view in sane]
        run = _Run(sane, hands, self._model.engine.begin(crops))
        self._under_way.append(run)
        return run

    def _settle(self, last: "_Run") -> None:
        """Wait for what is under way up to this run, which may have been waited for already."""
        while last in self._under_way:
            run = self._under_way.popleft()
            try:
                rows = run.answer()
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait for this run
                run.error = error
                continue
            for view, row in zip(run.views, rows, strict=True):
                hand = hand_in_picture(view, read_row(row))
                if hand is None:
                    self._leave_out(view, BEHIND_CAMERA)
                    continue
                run.hands[view.place].append(hand)
                self._places[view.track_id] = _Place(tight_box(hand.joints_2d).astype(np.float32), view.number)

    def _forget(self) -> None:
        ended = [track for track, place in self._places.items() if self._frames - place.frame > FORGET_AFTER]
        for track in ended:
            del self._places[track]

    def _leave_out(self, view: View, cause: str) -> None:
        self.left_out[cause] += 1
        if self.left_out.total() == 1:
            log.warning(
                "hamba: the %s hand of track %s is left out, %s; more are only counted, in the report",
                view.box.side,
                view.track_id,
                cause,
            )


class _Place(NamedTuple):
    """The place where the network last found a track's hand."""

    box: NDArray[np.float32]  # (4,) px
    frame: int


@dataclass(eq=False)
class _Run:
    """Hands on their way through the network."""

    views: Sequence[View]
    hands: list[list[Hand]]  # of each frame of the call that began it
    answer: "Answer"
    error: Exception | None = None


def _not_open() -> PipelineError:
    return PipelineError("the hamba estimator: expected open to be called first, found it closed; open it")
