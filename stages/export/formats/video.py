"""Hands as a video: over the pictures they were seen in, or on a plain background from anywhere.

It is the overlay of a run, drawn afterwards. The pictures are read from the source again, with the recording's own
settings, and are matched to the recorded frames by their numbers and times.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ValidationError

from hamba_core.errors import ConfigurationError, SourceError
from stages.contract import Source
from stages.export.formats.orbit import Orbit
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection
from stages.overlay import Overlay
from stages.packets import Frame, FrameResult, Image
from stages.recording import RecordedRun
from stages.sources import SourceSettings, source_for

logger = logging.getLogger(__name__)

_SAME_TIME: Final = 1e-3  # s


def export_mp4(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write one video of all chosen frames and hands, over the pictures of `settings.source` where that is given.

    Raises SourceError where the source is not the one that was recorded from, ConfigurationError where it is live,
    OutputError, DependencyError.
    """
    recording = selection.recording
    if settings.rate is not None:
        logger.warning("mp4: shows the frames as recorded; %g frames/s is for the other formats", settings.rate)
    path = folder / f"{recording.path.stem}.mp4"
    overlay = Overlay(path)
    try:
        overlay.open(recording.run_info())
        for choice in overlay.choices():
            if choice.fallback:
                logger.warning("%s: %s. %s", choice.subject, choice.chosen, choice.reason)
        for result in _pictures(selection, settings):
            overlay.write(result)
            on_progress(min((result.frame.pts - selection.start) / max(selection.end - selection.start, 1e-9), 1.0))
    finally:
        overlay.close()
    path.with_name("preview.png").unlink(missing_ok=True)
    return [path]


def _pictures(selection: Selection, settings: ExportSettings) -> Iterator[FrameResult]:
    """Yield the chosen frames with what is to be seen behind the hands."""
    if settings.source is not None:
        yield from over_source(selection, settings.source)
        return
    orbit = Orbit.about(selection.tracks, settings)
    background: Image | None = None
    for result in chosen_results(selection):
        frame = result.frame
        if background is None or background.shape[:2] != (frame.height, frame.width):
            background = orbit.background(frame)
        yield orbit.picture(result, background)


def chosen_results(selection: Selection) -> Iterator[FrameResult]:
    """Yield the recorded frames between the take's start and end, with the hands of its tracks."""
    tracks = {(track.id, track.side) for track in selection.tracks}
    for result in selection.recording.results():
        if result.frame.pts > selection.end:
            return
        if result.frame.pts >= selection.start:
            hands = tuple(hand for hand in result.hands if (hand.track_id, hand.side) in tracks)
            yield replace(result, hands=hands)


def over_source(selection: Selection, name: str) -> Iterator[FrameResult]:
    """Yield them with the pictures of the source that was recorded from. Raises SourceError, ConfigurationError."""
    run = selection.recording.run
    if run.source.stills and Path(name).is_dir():
        yield from _over_pictures(selection, Path(name))
        return
    source = _reopened(name, run)
    if Path(name).name != Path(run.source.name).name:
        logger.warning("mp4: drawn over %s; recorded from %s", name, run.source.name)
    mirrored = bool(run.settings.get("detect", {}).get("mirror", False))
    try:
        source.open()
        frames = (frame for frame in source.frames() if frame is not None)
        frame: Frame | None = None
        for result in chosen_results(selection):
            while frame is None or frame.meta.index < result.frame.index:
                if (frame := next(frames, None)) is None:
                    raise _mismatch(selection, name, result, "the source ends before it")
            yield replace(result, image=_matched(selection, name, result, frame, mirrored=mirrored))
    finally:
        source.close()


def _over_pictures(selection: Selection, folder: Path) -> Iterator[FrameResult]:
    """Yield the recorded pictures, each read from this folder by its name: they may be some of those that are there."""
    run = selection.recording.run
    mirrored = bool(run.settings.get("detect", {}).get("mirror", False))
    for result in chosen_results(selection):
        path = str(folder / result.frame.name)
        source = _reopened(path, run)
        try:
            source.open()
            frame = next((frame for frame in source.frames() if frame is not None), None)
        finally:
            source.close()
        if frame is None or (frame.meta.width, frame.meta.height) != (result.frame.width, result.frame.height):
            size = "it is empty" if frame is None else f"it is {frame.meta.width}x{frame.meta.height}"
            raise _mismatch(selection, path, result, size)
        yield replace(result, image=np.ascontiguousarray(frame.image[:, ::-1]) if mirrored else frame.image)


def _reopened(name: str, run: RecordedRun) -> Source:
    """Return the source, to be read as it was when it was recorded."""
    recorded = run.settings.get("source", {})
    try:
        settings = SourceSettings.model_validate({**recorded, "realtime": False, "world": {}})
    except ValidationError as error:
        raise SourceError(
            f"{name}: expected the recording's settings of its source, found some unknown: {error}"
        ) from error
    source = source_for(name, settings, stream=run.stream)
    if source.live:
        raise ConfigurationError(f"{name}: expected the file that was recorded from, found a live source")
    return source


def _matched(selection: Selection, name: str, result: FrameResult, frame: Frame, *, mirrored: bool) -> Image:
    """Return the picture of the frame, if it is the recorded one."""
    found, expected = frame.meta, result.frame
    if found.index != expected.index:
        raise _mismatch(selection, name, result, f"the source's next one is {found.index}")
    if (found.width, found.height) != (expected.width, expected.height):
        size = f"{found.width}x{found.height}, recorded as {expected.width}x{expected.height}"
        raise _mismatch(selection, name, result, f"it is {size}")
    if abs(found.pts - expected.pts) > _SAME_TIME:
        raise _mismatch(selection, name, result, f"it is at {found.pts:.3f} s, recorded at {expected.pts:.3f} s")
    return np.ascontiguousarray(frame.image[:, ::-1]) if mirrored else frame.image


def _mismatch(selection: Selection, name: str, result: FrameResult, found: str) -> SourceError:
    return SourceError(
        f"{name}: expected the source of {selection.recording.path}, which was {selection.recording.run.source.name}, "
        f"found that frame {result.frame.index} does not match: {found}; name the file that was recorded from, or none "
        "for a plain background"
    )
