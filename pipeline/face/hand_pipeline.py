"""The stages of a run, called one after another in the caller's own thread."""

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np

from hamba_core.errors import PacketError, PipelineError
from pipeline.assembly import hand_stages
from pipeline.face.options import Camera, Options, given_camera, settings_of
from pipeline.face.pictures import read_picture
from pipeline.settings import Settings
from pipeline.without_effect import settings_without_effect
from stages.contract import Stage
from stages.packets import Choice, Frame, FrameMeta, FrameResult
from stages.reconstruction import Reconstruction, shared_network, uses_network
from stages.sources.lens.intrinsics import CameraModel

if TYPE_CHECKING:
    from pipeline.face.pictures import Picture


class HandPipeline:
    """Hands in pictures that you have: frames of your own loop one at a time, or many stills at once.

        with HandPipeline(max_hands=2) as hands:
            result = hands(image, pts=t)  # hands are followed from call to call
            results = hands.batch(images)  # each picture is looked at anew

    `settings` is an object, a preset ("offline" if left out) or a YAML file; `options` are settings by keyword.
    `intrinsics` is the camera of all pictures, estimated if left out: `Intrinsics` or a matrix (3, 3), pixels. `bgr`
    says that arrays have OpenCV's order of channels. One thread at a time may call it. Raises ConfigurationError.
    """

    def __init__(
        self,
        settings: Settings | str | Path | None = None,
        *,
        intrinsics: Camera | None = None,
        bgr: bool = False,
        **options: Unpack[Options],
    ) -> None:
        self._settings, self._own_estimator = settings_of(settings, options, intrinsics, preset="offline")
        self._bgr = bgr
        network = self._own_estimator is None and uses_network(self._settings.reconstruct)
        self._shared = shared_network(self._settings.reconstruct) if network else None
        self._cameras = CameraModel(self._settings.source.lens)
        self._frames = 0
        self._entered = 0  # blocks that hold it open
        self._video: _Line | None = None  # for frames that follow one another
        self._stills: _Line | None = None
        self._start: float | None = None
        self._last_pts: float | None = None

    def __enter__(self) -> Self:
        self.open()
        self._entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._entered -= 1
        if not self._entered:  # a block within a block leaves it open for the outer one
            self.close()

    def open(self) -> None:
        """Load everything. Raises DependencyError, WeightsError, HandModelError, DeviceError."""
        if self._video is None:
            self._video = self._opened_line(stills=False)

    def close(self) -> None:
        """Free everything. It may be opened again."""
        lines, self._video, self._stills = (self._video, self._stills), None, None
        self._start = self._last_pts = None
        for line in lines:
            if line is not None:
                line.close()

    def restart(self) -> None:
        """Forget the hands that were followed: the next frame begins another video."""
        before = self._checked_open()
        self._video = self._opened_line(stills=False)  # before the other is closed, so that they share the network
        before.close()
        self._start = self._last_pts = None

    def __call__(
        self,
        picture: "Picture",
        *,
        pts: float | None = None,
        intrinsics: Camera | None = None,
        bgr: bool | None = None,
    ) -> FrameResult:
        """Return the hands of the next frame: `result.hands`, with `result.frame` and the RGB picture, `result.image`.

        `pts` is the frame's time in seconds, which has to rise; without it, the time of the call counts. Raises
        PacketError for what is no picture or no later time, SourceError for a file that cannot be read.
        """
        line = self._checked_open()
        now = time.monotonic()
        self._start = now if self._start is None else self._start
        pts = now - self._start if pts is None else _seconds(pts)
        if self._last_pts is not None and pts <= self._last_pts:
            raise PacketError(
                f"pts: expected a time after the last frame's, {self._last_pts:g} s, found {pts:g}; "
                "call restart() before another video, and batch() for pictures that have nothing to do with one another"
            )
        packet: Any = self._frame(picture, pts, intrinsics, bgr)
        self._last_pts = pts
        for stage in line.stages:
            packet = stage.process(packet)
        result: FrameResult = packet
        return result

    def batch(
        self, pictures: "Iterable[Picture]", *, intrinsics: Camera | None = None, bgr: bool | None = None
    ) -> list[FrameResult]:
        """Return the hands of pictures that have nothing to do with one another, in their order.

        Hands of several pictures go through the network together. Raises what a call raises.
        """
        self._checked_open()
        if isinstance(pictures, str | Path | np.ndarray) or not isinstance(pictures, Iterable):
            raise PacketError(
                f"batch: expected several pictures, found {type(pictures).__name__}; give one as a list, [picture]"
            )
        if self._stills is None:
            self._stills = self._opened_line(stills=True)
        *before, last = self._stills.stages
        frames = (self._frame(picture, float(place), intrinsics, bgr) for place, picture in enumerate(pictures))
        results: list[FrameResult] = []
        while together := list(islice(frames, last.batch)):
            packets: Sequence[Any] = together
            for stage in before:
                packets = [stage.process(packet) for packet in packets]
            results += last.process_many(packets)
        return results

    def choices(self) -> tuple[Choice, ...]:
        """Return what is in use and why: detector, estimator, device, precision; and settings without effect."""
        stages = self._checked_open().stages
        used = next((stage.estimator for stage in stages if isinstance(stage, Reconstruction)), "")
        unused = settings_without_effect(self._settings, used)
        return (*(choice for stage in stages for choice in stage.choices()), *unused)

    def _checked_open(self) -> "_Line":
        if self._video is None:
            raise PipelineError(
                "HandPipeline: expected it to be open, found it closed; use it in a `with` block, or call open()"
            )
        return self._video

    def _opened_line(self, *, stills: bool) -> "_Line":
        estimator = self._own_estimator() if self._own_estimator is not None else None
        return _Line(hand_stages(self._settings, stills=stills, estimator=estimator, shared=self._shared))

    def _frame(self, picture: "Picture", pts: float, intrinsics: Camera | None, bgr: bool | None) -> Frame:
        image, camera = read_picture(picture, self._settings.source, bgr=self._bgr if bgr is None else bgr)
        captured_ns = time.monotonic_ns()
        if camera is None:
            image, camera = self._cameras.undistorted(image), self._cameras.of(image.shape[1], image.shape[0])
        if intrinsics is not None:
            camera = given_camera(intrinsics)
        height, width = image.shape[:2]
        meta = FrameMeta(self._settings.stream, self._frames, pts, captured_ns, width, height, camera)
        self._frames += 1
        return Frame(meta, image)


def _seconds(pts: object) -> float:
    """Return a frame's time. Raises PacketError where it is no finite number."""
    if isinstance(pts, int | float | np.number) and isfinite(pts):
        return float(pts)
    raise PacketError(f"pts: expected the frame's time in seconds, a finite number, found {pts!r:.60}")


class _Line:
    """Stages that are open."""

    def __init__(self, stages: list[Stage[Any, Any]]) -> None:
        self.stages = stages
        with ExitStack() as opened:
            for stage in stages:
                opened.enter_context(stage)
            self._opened = opened.pop_all()

    def close(self) -> None:
        self._opened.close()
