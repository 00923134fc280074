"""A chain calls the stages of a pipeline one after another, frame by frame, so that what each gave can be measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from hamba_core.view import Intrinsics
from pipeline.assembly import hand_stages
from pipeline.settings import Settings
from pipeline.without_effect import warn_without_effect
from stages.common.posing import with_mesh
from stages.contract import Stage
from stages.packets import Choice, Detections, Frame, FrameResult
from stages.reconstruction import Reconstruction, load_hand_model


@dataclass(frozen=True, eq=False)
class Answers:
    """What the stages said of one frame."""

    tracked: Detections  # the detector's hands with track ids; `seen` tells which of them it saw in this frame
    raw: FrameResult  # as reconstructed, with meshes
    smoothed: FrameResult


class Chain:
    """A run's usual line of stages. `opened_chain` makes it.

    `cut` begins a new video: the detector forgets the last one. Track ids are never given twice. `sources` says that
    its pictures come from sources with the same settings.
    """

    def __init__(self, settings: Settings, *, sources: bool = False) -> None:
        self._settings = settings
        self._hand_model = load_hand_model(settings.reconstruct)
        self._line = self._stages()
        reconstruction = next(stage for stage in self._line if isinstance(stage, Reconstruction))
        self.estimator = reconstruction.estimator
        """Name of the estimator in use."""
        warn_without_effect(settings, self.estimator, sources=sources)

    def _stages(self) -> list[Stage[Any, Any]]:
        return hand_stages(self._settings, hand_model=self._hand_model)

    def open(self) -> None:
        """Load what is needed. Raises HambaError."""
        for stage in self._line:
            stage.open()

    def close(self) -> None:
        """Free everything."""
        for stage in reversed(self._line):
            stage.close()

    def cut(self) -> None:
        """Begin another video."""
        self._line[0].close()
        self._line[0] = self._stages()[0]
        self._line[0].open()

    def choices(self) -> tuple[Choice, ...]:
        """Return what is in use and why."""
        return tuple(choice for stage in self._line for choice in stage.choices())

    def answer(self, frame: Frame) -> Answers:
        """Run all stages on one frame. Frames of a video come in order."""
        tracked, results = Detections(frame, ()), []
        packet: Any = frame
        for stage in self._line:
            packet = stage.process(packet)
            if isinstance(packet, Detections):
                tracked = packet
            else:
                results.append(packet)
        raw: FrameResult = results[0]
        hands = tuple(with_mesh(hand, self._hand_model) for hand in raw.hands)
        return Answers(tracked, replace(raw, hands=hands), results[-1])


@contextmanager
def opened_chain(settings: Settings, *, sources: bool = False) -> Iterator[Chain]:
    """Open a chain, and close it afterwards. Raises HambaError."""
    chain = Chain(settings, sources=sources)
    try:
        chain.open()
        yield chain
    finally:
        chain.close()


@contextmanager
def opened_estimator(settings: Settings) -> Iterator[Reconstruction]:
    """Open the estimator alone, and close it afterwards. Raises HambaError."""
    reconstruction = Reconstruction(settings.reconstruct, load_hand_model(settings.reconstruct), meshes=False)
    try:
        reconstruction.open()
        yield reconstruction
    finally:
        reconstruction.close()


def with_camera(detections: Detections, camera: Intrinsics) -> Detections:
    """Return the same hands in a picture that another camera is said to have taken."""
    frame = detections.frame
    return replace(detections, frame=Frame(replace(frame.meta, camera=camera), frame.image))
