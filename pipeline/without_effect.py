"""Settings that cannot have an effect in a run are told, all here: nobody shall wonder why they do nothing."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pydantic import BaseModel

from pipeline.settings import PRESETS, Settings, load_settings
from stages.packets import Choice, SourceInfo
from stages.reconstruction import named_estimator

logger = logging.getLogger(__name__)

_LIVE_ONLY: Final = ("runtime.in_flight", "runtime.max_age", "runtime.max_consecutive_failures")
_NETWORK: Final = tuple(
    f"reconstruct.{name}" for name in ("checkpoint", "device", "precision", "scan", "unfused", "rescale", "threads")
)


@dataclass(frozen=True)
class _Run:
    """What is known of a run; the kind of its source is None where pictures come one by one from a program."""

    settings: Settings
    estimator: str
    kind: str | None
    live: bool
    stills: bool
    files: bool


@dataclass(frozen=True)
class _Rule:
    """These settings, or all in these groups, do nothing where `reason` gives one."""

    settings: tuple[str, ...]
    reason: Callable[[_Run], str | None]

    def covers(self, key: str) -> bool:
        return any(key == name or key.startswith(f"{name}.") for name in self.settings)


def _unless(wanted: bool, reason: str) -> str | None:
    return None if wanted else reason


_SOURCES: Final = {
    "file": "a video file",
    "image": "a picture",
    "images": "pictures",
    "camera": "a camera",
    "network": "a stream",
    "synthetic": "the test pattern",
}


def _source(run: _Run, *kinds: str) -> str | None:
    """Return why a setting of these kinds of source does nothing; None where it does something."""
    return _unless(run.kind in kinds, f"the source is {_SOURCES.get(run.kind or '', run.kind)}")


_RULES: Final = (
    _Rule(_NETWORK, lambda run: _unless(run.estimator == "hamba", f"the estimator is {run.estimator}")),
    _Rule(
        ("reconstruct.small_network",),
        lambda run: _unless(run.estimator == "hamba-s", f"the estimator is {run.estimator}"),
    ),
    _Rule(
        ("detect.min_tracking_score",),
        lambda run: _unless(run.settings.detect.detector == "mediapipe", "detect.detector is onnx"),
    ),
    _Rule(("track", "smooth", "events"), lambda run: _unless(not run.stills, "single pictures are not followed")),
    _Rule(
        ("events.confirm", "events.release"),
        lambda run: _unless(run.settings.events.enabled, "events.enabled is false"),
    ),
    _Rule(("source.camera",), lambda run: _source(run, "camera")),
    _Rule(("source.pictures",), lambda run: _source(run, "image", "images")),
    _Rule(("source.track",), lambda run: _source(run, "file", "network")),
    _Rule(("source.live",), lambda run: _source(run, "camera", "network")),
    _Rule(("source.realtime",), lambda run: _unless(not run.live, "a live source has a rate of its own")),
    _Rule(
        ("source.world.square", "source.world.marker"),
        lambda run: _unless(run.settings.source.world.charuco is not None, "source.world.charuco is not set"),
    ),
    _Rule(
        ("source.world.tag_size",),
        lambda run: _unless(run.settings.source.world.tag is not None, "source.world.tag is not set"),
    ),
    _Rule(
        ("source.world.dictionary", "source.world.watch"),
        lambda run: _unless(
            run.settings.source.world.charuco is not None or run.settings.source.world.tag is not None,
            "neither source.world.charuco nor source.world.tag is set",
        ),
    ),
    _Rule(
        ("source.world.start",),
        lambda run: _unless(run.settings.source.world.trajectory is not None, "source.world.trajectory is not set"),
    ),
    _Rule(
        ("source.world.max_age",),
        lambda run: _unless(bool(run.settings.source.world), "nothing tells where the camera stands"),
    ),
    _Rule(("publish",), lambda run: _unless(run.settings.publish.address is not None, "nothing is published")),
    _Rule(
        ("publish.image_width", "publish.image_rate"),
        lambda run: _unless(run.settings.publish.images is not False, "publish.images is false"),
    ),
    _Rule(("record", "overlay"), lambda run: _unless(run.files, "no files are written: name a folder with --out")),
    _Rule(("record",), lambda run: _unless(run.settings.record.enabled, "record.enabled is false")),
    _Rule(("overlay",), lambda run: _unless(run.settings.overlay.enabled, "overlay.enabled is false")),
    _Rule(_LIVE_ONLY, lambda run: _unless(run.settings.mode == "live", "mode is offline")),
)
_SWITCHES: Final = frozenset(("record.enabled", "overlay.enabled"))
"""Off is what they ask for, whether or not there would be something."""


def settings_without_effect(
    settings: Settings, estimator: str, source: SourceInfo | None = None, *, stills: bool = False, files: bool = True
) -> tuple[Choice, ...]:
    """Return each setting that was changed and does nothing, with the reason, as a fallback.

    `estimator` is the one in use, `source` what is read if a run reads something, and `files` says whether it has a
    folder for files. What has the value of the defaults or of a preset counts as unchanged.
    """
    kind, live = (None, False) if source is None else (source.kind, source.live)
    run = _Run(settings, estimator, kind, live, stills, files)
    return _found(run, [rule for rule in _RULES if source is not None or not _of_a_run(rule)])


def corpus_settings_without_effect(settings: Settings, *, recordings: bool) -> tuple[Choice, ...]:
    """Return the same of a corpus of videos, before it is begun; `recordings` says whether recordings are kept.

    The estimator is the one that settings and this machine name.
    """
    kept = None if recordings else "a corpus keeps no recordings without --recordings"
    scene = "a corpus records no scenes, and says by --recordings whether recordings are kept"
    rules = (
        _Rule(("publish",), lambda run: "a corpus publishes nothing"),
        _Rule(("overlay",), lambda run: "a corpus draws nothing"),
        _Rule(("record",), lambda run: kept),
        _Rule(("record.scene", "record.enabled"), lambda run: scene),
    )
    run = _Run(settings, named_estimator(settings.reconstruct), "file", live=False, stills=False, files=True)
    return _found(run, (*rules, *_RULES), switches=False)


def warn_without_effect(settings: Settings, estimator: str, *, sources: bool = False, stills: bool = False) -> None:
    """Log each setting that does nothing in an evaluation, whose report does not tell.

    `sources` says that it reads what a person names, and has no pictures of its own; `stills` that they are single.
    """
    rules = (
        _Rule(("publish", "record", "overlay", "runtime"), lambda run: "an evaluation only measures"),
        _Rule(("source",), lambda run: _unless(sources, "an evaluation has pictures of its own")),
    )
    run = _Run(settings, estimator, "file", live=False, stills=stills, files=True)
    usual = [rule for rule in _RULES if sources or not _of_a_run(rule)]
    for choice in _found(run, (*rules, *usual), switches=False):
        logger.warning("%s is without effect: %s", choice.subject, choice.reason)


def _found(run: _Run, rules: Sequence[_Rule], *, switches: bool = True) -> tuple[Choice, ...]:
    found = []
    for key in _changed(run.settings):
        reasons = (rule.reason(run) for rule in rules if rule.covers(key) and not (switches and key in _SWITCHES))
        reason = next((reason for reason in reasons if reason is not None), None)
        if reason is not None:
            found.append(Choice(key, "without effect", reason, fallback=True))
    return tuple(found)


def _of_a_run(rule: _Rule) -> bool:
    """Return whether it is about what a program that gives its own pictures has not: a source, files, a publisher."""
    return rule.settings[0].partition(".")[0] in ("source", "publish", "record", "overlay", "runtime")


def _changed(settings: Settings) -> Iterator[str]:
    """Yield the keys of settings with values that stand neither in the defaults nor in a preset."""
    for key, value in _leaves(settings):
        if all(value != usual[key] for usual in _usual()):
            yield key


@cache
def _usual() -> tuple[dict[str, Any], ...]:
    return tuple(dict(_leaves(usual)) for usual in (Settings(), *map(load_settings, PRESETS)))


def _leaves(model: BaseModel, above: str = "") -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
