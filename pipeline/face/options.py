"""Settings as keyword arguments: the common ones by their short names, all others by the stage they belong to."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from hamba_core.errors import ConfigurationError
from hamba_core.view import Intrinsics
from pipeline.settings import Settings, changed_settings, load_settings
from stages.detection import DetectionSettings
from stages.events import EventSettings
from stages.reconstruction import Estimator, ReconstructionSettings
from stages.settings import StageSettings
from stages.smoothing import SmoothingSettings
from stages.sources import SourceSettings
from stages.tracking import TrackingSettings

Camera = Intrinsics | ArrayLike
"""A pinhole camera, or its matrix (3, 3), pixels."""


class Options(TypedDict, total=False):
    """What can be set by keyword. `hamba settings` lists what is in each stage's settings."""

    max_hands: int
    """Most hands to find in a picture."""
    mirror: bool
    """The pictures are mirrored, as selfie views are."""
    estimator: Literal["auto", "hamba", "hamba-s", "landmarks"] | Callable[[], Estimator]
    """What makes hands of boxes, or a callable that makes an estimator of your own."""
    checkpoint: str | Path
    """The Hamba network's weights."""
    hand_model: str | Path
    """"generic", or your own MANO file."""
    device: str
    """Where the network runs: "auto", "cpu", "cuda"..."""
    smoothing: float
    """How calm hands are; 0 leaves them as they are."""
    source: SourceSettings | Mapping[str, Any]
    detect: DetectionSettings | Mapping[str, Any]
    track: TrackingSettings | Mapping[str, Any]
    reconstruct: ReconstructionSettings | Mapping[str, Any]
    smooth: SmoothingSettings | Mapping[str, Any]
    events: EventSettings | Mapping[str, Any]


_SHORT_NAMES: Final = {
    "max_hands": ("detect", "max_hands"),
    "mirror": ("detect", "mirror"),
    "estimator": ("reconstruct", "estimator"),
    "checkpoint": ("reconstruct", "checkpoint"),
    "hand_model": ("reconstruct", "hand_model"),
    "device": ("reconstruct", "device"),
    "smoothing": ("smooth", "strength"),
}
_STAGES: Final = ("source", "detect", "track", "reconstruct", "smooth", "events")


def settings_of(
    settings: Settings | str | Path | None, options: Options, intrinsics: Camera | None, *, preset: str
) -> tuple[Settings, Callable[[], Estimator] | None]:
    """Return the settings that these arguments ask for, and what makes the caller's own estimator, if there is one.

    `settings` is an object, a preset or a YAML file, and `preset` what is taken without it. Nothing is published or
    written unless `settings` says so. Raises ConfigurationError.
    """
    if not isinstance(settings, Settings):
        settings = load_settings(str(settings or preset), ["publish.address=null"])
    changes: dict[str, Any] = {}
    estimator: Callable[[], Estimator] | None = None
    # A stage's settings first: the short names go on top of them, whatever the order.
    for name, value in sorted(options.items(), key=lambda option: option[0] in _SHORT_NAMES):
        if name == "estimator" and callable(value):
            estimator = partial(_checked_estimator, value)
        elif name in _SHORT_NAMES:
            stage, key = _SHORT_NAMES[name]
            changes.setdefault(stage, {})[key] = str(value) if isinstance(value, Path) else value
        elif name in _STAGES:
            changes[name] = dict(_values_of(name, value))
        else:
            known = (*_SHORT_NAMES, *_STAGES)
            near = get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"{name}: expected one of {', '.join(known)}; found another name{meant}")
    if intrinsics is not None:
        camera = given_camera(intrinsics)
        other_ways = {"field_of_view": None, "calibration": None}
        pinhole = {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy}
        changes["source"] = {**changes.get("source", {}), "lens": {**other_ways, **pinhole}}
    return changed_settings(settings, changes), estimator


def _values_of(name: str, value: object) -> Mapping[str, Any]:
    """Return a stage's settings as they were given, by name. Raises ConfigurationError."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, StageSettings):
        return value.model_dump(exclude_unset=True)
    raise ConfigurationError(
        f"{name}: expected the stage's settings as a dict or an object, found {type(value).__name__}; "
        f"for example {name}={{...}}, with keys as `hamba settings {name}` lists them"
    )


def _checked_estimator(maker: Callable[[], Any]) -> Estimator:
    """Make the caller's own estimator. Raises ConfigurationError where it is none."""
    estimator = maker()
    if not isinstance(estimator, Estimator) or not isinstance(getattr(estimator, "name", None), str):
        raise ConfigurationError(
            f"estimator: expected a callable that gives a stages.reconstruction.Estimator with a name, found "
            f"{type(estimator).__name__}; docs/extending.md shows one"
        )
    return estimator


def given_camera(intrinsics: Camera) -> Intrinsics:
    """Return the camera that is meant. Raises ConfigurationError."""
    if isinstance(intrinsics, Intrinsics):
        return intrinsics
    try:
        matrix = np.asarray(intrinsics, np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape != (3, 3) or matrix[0, 1] or matrix[1, 0] or not np.array_equal(matrix[2], (0, 0, 1)):
        raise ConfigurationError(
            "intrinsics: expected Intrinsics(fx, fy, cx, cy) or a matrix [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in "
            f"pixels, found an array of shape {matrix.shape}: {matrix.tolist()}"
        )
    (fx, _, cx), (_, fy, cy), _ = matrix.tolist()
    return Intrinsics(fx, fy, cx, cy)
