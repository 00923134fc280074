"""Assembly puts the parts of a run together, as settings ask."""

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any

from hamba_core.hand import HandModel
from pipeline.outputs import OVERLAY, SUMMARY
from pipeline.runtime import Runner, SinkPolicy
from pipeline.settings import Settings
from pipeline.without_effect import settings_without_effect
from stages.contract import Sink, Source, Stage
from stages.detection import HandDetection
from stages.events import Events
from stages.packets import Choice, ClockAnchor, HandTopology, RunInfo, SourceInfo, Status
from stages.reconstruction import Estimator, Reconstruction, load_hand_model, named_hand_model
from stages.reconstruction.hamba import SharedModel
from stages.recording import RECORDING
from stages.smoothing import Smoothing
from stages.tracking import HandTracking

_PACKAGES = (
    "hamba-stream", "torch", "onnxruntime", "mediapipe", "open3d", "av", "opencv-contrib-python", "numpy", "pyzmq",
    "mcap",
)  # fmt: skip

_EVERY_RESULT = SinkPolicy("latest", capacity=45)
"""Live, for what should miss nothing: a second or two of results, with their pictures, wait before one is dropped."""


def assemble(
    source: Source,
    settings: Settings,
    *,
    out: Path | None = None,
    sinks: Sequence[Sink] = (),
    sink_policies: Mapping[str, SinkPolicy] | None = None,
    stages: Sequence[Stage[Any, Any]] | None = None,
    estimator: Estimator | None = None,
    hand_model: HandModel | None = None,
    on_open: Callable[[SourceInfo], None] | None = None,
    on_status: Callable[[Status], None] | None = None,
    on_step: Callable[[str], None] = lambda step: None,
    shared: SharedModel | None = None,
) -> Runner:
    """Return a runner of: source, detect, track, reconstruct, smooth, events, and the sinks that settings ask for.

    `out` is an existing folder for files, or none for no files. `sinks` are yours, beside those; `sink_policies` says
    what happens to results that one of them cannot take at once. `stages` takes the place of the usual line
    (`hand_stages`), `estimator` that of the estimator in it. `on_open` is told about the source once it is open,
    `on_step` what takes time until then. Runners of one process can use one `shared` network
    (`stages.reconstruction.shared_network`), and then its hand model. `hand_model` is what your own stages or estimator
    pose hands with, where settings do not name it. Raises ConfigurationError, WeightsError, HandModelError.
    """
    if hand_model is None:
        hand_model = _hand_model(settings, shared, own=stages is not None or estimator is not None)
    if stages is None:
        live_hands = settings.detect.max_hands if settings.mode == "live" else None
        stages = hand_stages(
            settings,
            stills=source.stills,
            live_hands=live_hands,
            estimator=estimator,
            hand_model=hand_model,
            on_step=on_step,
            shared=shared,
        )
    reconstruction = next((stage for stage in stages if isinstance(stage, Reconstruction)), None)
    topology = HandTopology.of(hand_model)
    unused: list[Choice] = []  # known once the source is open

    def run_info(info: SourceInfo) -> RunInfo:
        if reconstruction is not None:
            name = reconstruction.estimator
            unused.extend(settings_without_effect(settings, name, info, stills=source.stills, files=out is not None))
        if on_open is not None:
            on_open(info)
        return RunInfo(
            stream=settings.stream,
            source=info,
            topology=topology,
            estimator=reconstruction.estimator if reconstruction is not None else stages[-1].name,
            clock=ClockAnchor(monotonic_ns(), time_ns()),
            versions=_versions(),
            settings=settings.model_dump(mode="json", exclude_defaults=True),
        )

    built_in = _sinks(settings, out, stills=source.stills)
    policies = {sink.name: _EVERY_RESULT for sink in built_in if sink.name != "publish"}
    return Runner(
        source,
        stages,
        [*built_in, *sinks],
        mode=settings.mode,
        stream=settings.stream,
        run_info=run_info,
        settings=settings.runtime,
        sink_policies={**(policies if settings.mode == "live" else {}), **(sink_policies or {})},
        on_status=on_status,
        choices=lambda: unused,
    )


def hand_stages(
    settings: Settings,
    *,
    stills: bool = False,
    live_hands: int | None = None,
    estimator: Estimator | None = None,
    hand_model: HandModel | None = None,
    on_step: Callable[[str], None] = lambda step: None,
    shared: SharedModel | None = None,
) -> list[Stage[Any, Any]]:
    """Return the usual line from frames to results, not open yet: detect, track, reconstruct, smooth, events.

    `stills` says that the pictures have nothing to do with one another: they are not smoothed, and have no events.
    `live_hands` is how many hands a frame has at most where each frame is waited for; the rest is as `assemble` has it.
    """
    if hand_model is None:
        hand_model = _hand_model(settings, shared, own=estimator is not None)
    reconstruction = Reconstruction(
        settings.reconstruct,
        hand_model,
        estimator=estimator,
        meshes=stills,
        live_hands=live_hands,
        on_step=on_step,
        shared=shared,
    )
    line: list[Stage[Any, Any]] = [
        HandDetection(settings.detect, stills=stills, maps=reconstruction.wants_maps),
        HandTracking(settings.track, stills=stills, max_hands=settings.detect.max_hands),
        reconstruction,
    ]
    if not stills:
        line += [Smoothing(settings.smooth, hand_model), Events(settings.events)]
    return line


def _hand_model(settings: Settings, shared: SharedModel | None, *, own: bool) -> HandModel:
    """Return the model that hands are posed with; for an `own` estimator, the one that settings name."""
    if shared is not None:
        return shared.hand
    return named_hand_model(settings.reconstruct.hand_model) if own else load_hand_model(settings.reconstruct)


def _sinks(settings: Settings, out: Path | None, *, stills: bool) -> list[Sink]:
    sinks: list[Sink] = []
    if settings.publish.address is not None:
        from stages.publishing import Publisher

        sinks.append(Publisher(settings.publish))
    if out is None:
        return sinks
    if settings.record.enabled:
        from stages.recording import Recorder

        sinks.append(Recorder(out / RECORDING, settings.record))
    if settings.overlay.enabled:
        from stages.overlay import Overlay

        sinks.append(Overlay(out / OVERLAY, settings.overlay, stills=stills))
    from stages.recording import Summary

    sinks.append(Summary(out / SUMMARY))
    return sinks


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
