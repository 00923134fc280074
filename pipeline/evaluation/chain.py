"""The stages of a pipeline called one after another, frame by frame, so that what each gave can be measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hamba_core.view import Intrinsics
from pipeline.settings import Settings
from stages.detection import HandDetection
from stages.packets import Choice, Detections, Frame, FrameResult
from stages.reconstruction import Reconstruction
from stages.smoothing import Smoothing
from stages.tracking import HandTracking


@dataclass(frozen=True, eq=False)
class Answers:
    """What the stages said of one frame."""

    tracked: Detections  # the detector's hands with track ids; `seen` tells which of them it saw in this frame
    raw: FrameResult  # as reconstructed
    smoothed: FrameResult


class Chain:
    """Detection, tracking, reconstruction and smoothing as settings ask for them. Made by `opened_chain`.

    `cut` begins a new video: the detector forgets the last one. Track ids are never given twice.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._detection = HandDetection(settings.detect)
        self._tracking = HandTracking(settings.track)
        self._reconstruction = Reconstruction(settings.reconstruct)
        self._smoothing = Smoothing(settings.smooth, hand_model=self._reconstruction.hand_model)

    def open(self) -> None:
        """Load what is needed. Raises HambaError."""
        self._tracking.open()
        self._reconstruction.open()
        self._smoothing.open()
        self._detection.open()

    def close(self) -> None:
        """Free everything."""
        for stage in (self._smoothing, self._reconstruction, self._tracking, self._detection):
            stage.close()

    def cut(self) -> None:
        """Another video begins."""
        self._detection.close()
        self._detection = HandDetection(self.settings.detect)
        self._detection.open()

    @property
    def estimator(self) -> str:
        """Name of the estimator in use."""
        return self._reconstruction.estimator

    def choices(self) -> tuple[Choice, ...]:
        """What is in use and why."""
        return (*self._detection.choices(), *self._reconstruction.choices())

    def answer(self, frame: Frame) -> Answers:
        """All stages on one frame; frames of a video in order."""
        tracked = self._tracking.process(self._detection.process(frame))
        raw = self._reconstruction.process(tracked)
        return Answers(tracked, raw, self._smoothing.process(raw))


@contextmanager
def opened_chain(settings: Settings) -> Iterator[Chain]:
    """A chain that is open, and closed afterwards. Raises HambaError."""
    chain = Chain(settings)
    try:
        chain.open()
        yield chain
    finally:
        chain.close()


@contextmanager
def opened_estimator(settings: Settings) -> Iterator[Reconstruction]:
    """The estimator alone, open, and closed afterwards. Raises HambaError."""
    reconstruction = Reconstruction(settings.reconstruct)
    try:
        reconstruction.open()
        yield reconstruction
    finally:
        reconstruction.close()


def with_camera(detections: Detections, camera: Intrinsics) -> Detections:
    """The same hands in a picture that another camera is said to have taken."""
    frame = detections.frame
    return replace(detections, frame=Frame(replace(frame.meta, camera=camera), frame.image))
