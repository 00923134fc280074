"""The settings of a run are the sum of the stages' own. They come from a preset or a YAML file, and `--set`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator

from hamba_core.errors import ConfigurationError, error_reason
from hamba_core.untrusted import DocumentError, parse_yaml, read_text
from pipeline.runtime import RuntimeSettings
from stages.detection import DetectionSettings
from stages.events import EventSettings
from stages.overlay import OverlaySettings
from stages.publishing import PublishSettings
from stages.reconstruction import ReconstructionSettings
from stages.recording import RecordingSettings
from stages.settings import StageSettings
from stages.smoothing import SmoothingSettings
from stages.sources import SourceSettings
from stages.tracking import TrackingSettings

PRESETS = ("live", "offline")


class Settings(StageSettings):
    """Everything that can be set. The settings of a stage stand in its file."""

    mode: Literal["live", "offline"] = Field(
        "offline",
        description="offline: every frame, in order; live: the newest frame; late ones are dropped and counted",
    )
    stream: str = Field(
        "hands",
        description="name under which results are published and recorded",
    )
    source: SourceSettings = SourceSettings()
    detect: DetectionSettings = DetectionSettings()
    track: TrackingSettings = TrackingSettings()
    reconstruct: ReconstructionSettings = ReconstructionSettings()
    smooth: SmoothingSettings = SmoothingSettings()
    events: EventSettings = EventSettings()
    publish: PublishSettings = PublishSettings()
    record: RecordingSettings = RecordingSettings()
    overlay: OverlaySettings = OverlaySettings()
    runtime: RuntimeSettings = RuntimeSettings()

    @field_validator("stream")
    @classmethod
    def _is_a_name(cls, stream: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", stream):
            raise ValueError("expected 1 to 64 letters, digits and _ . -")
        return stream


def load_settings(preset: str, overrides: Sequence[str] = (), values: Mapping[str, object] | None = None) -> Settings:
    """Return the settings of a preset ("live", "offline", or the path of a YAML file), then `values`, unchanged, by
    "stage.key", then each "stage.key=value" of `overrides`.

    A text or a path in an override is taken as it stands, `null` where there may be none; other values are read as
    YAML. Raises ConfigurationError naming the key, what is allowed and the nearest known name.
    """
    tree = _read_preset(preset)
    for name, value in (values or {}).items():
        _put(tree, name.split("."), value, name)
    for override in overrides:
        _apply(tree, override)
    return _validated(tree)


def changed_settings(settings: Settings, changes: Mapping[str, Mapping[str, Any]]) -> Settings:
    """These settings, with some keys of some stages changed. Raises ConfigurationError as `load_settings` does."""
    tree = settings.model_dump(exclude_unset=True)
    return _validated(_merged(tree, changes))


def overridden_settings(settings: Settings, overrides: Sequence[str]) -> Settings:
    """These settings, with each "stage.key=value" put in. Raises ConfigurationError as `load_settings` does."""
    tree = settings.model_dump(exclude_unset=True)
    for override in overrides:
        _apply(tree, override)
    return _validated(tree)


def _merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree with these changes, group by group."""
    merged = dict(tree)
    for key, value in changes.items():
        inside = merged.get(key)
        both = isinstance(inside, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(inside, value) if both else value  # type: ignore[arg-type]
    return merged


def _validated(tree: Mapping[str, Any]) -> Settings:
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explanations(error))) from None


def flat_settings(settings: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield each setting of a tree, as `--set` takes it."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat_settings(value, f"{above}{key}.")
        else:
            yield f"{above}{key}={value}"


def _read_preset(preset: str) -> dict[str, Any]:
    if preset in PRESETS:
        text, where = (files("configs") / f"{preset}.yaml").read_text(), f"preset {preset}"
    else:
        path = Path(preset)
        if not path.is_file():
            near = _nearest(preset, PRESETS)
            raise ConfigurationError(
                f"preset {preset!r}: expected one of {', '.join(PRESETS)}, or a YAML file; found neither{near}"
            )
        where = str(path)
        try:
            text = read_text(path)
        except DocumentError as error:
            raise ConfigurationError(f"{where}: {error}") from error
        except OSError as error:
            raise ConfigurationError(f"{where}: expected a readable YAML file, found: {error_reason(error)}") from error
    try:
        tree = parse_yaml(text) or {}
    except DocumentError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{where}: expected a mapping of stages to settings, found {type(tree).__name__}")
    return tree


def _apply(tree: dict[str, Any], override: str) -> None:
    """Put "stage.key=value" into the tree."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigurationError(f"--set {override}: expected stage.key=value, for example detect.max_hands=1")
    stage, name = keys[:-1], keys[-1]
    known = _fields_at(stage)
    # In one of the stage's groups, where an earlier version had it in the stage.
    field = known.get(name) or next((at[name] for group in known if name in (at := _fields_at([*stage, group]))), None)
    kinds = set() if field is None else _types_in(field.annotation)
    if kinds & {str, Path}:
        value: object = None if text == "null" and NoneType in kinds else text
    else:
        try:
            value = parse_yaml(text)
        except DocumentError as error:
            raise ConfigurationError(f"--set {override}: expected a YAML value, found {text!r}: {error}") from error
    _put(tree, keys, value, f"--set {override}")


def _types_in(annotation: Any) -> set[Any]:
    """Return the types that a field may have."""
    parts = get_args(annotation)
    return set().union(*map(_types_in, parts)) if parts else {annotation}


def _put(tree: dict[str, Any], keys: Sequence[str], value: object, where: str) -> None:
    node = tree
    for key in keys[:-1]:
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            raise ConfigurationError(f"{where}: {key} is a single value and has no {keys[-1]!r} in it")
        node = child
    node[keys[-1]] = value


def _explanations(error: ValidationError) -> Iterator[str]:
    """Yield a line for each thing that is wrong: the key, what was expected, what was found, the nearest name."""
    for problem in error.errors():
        location = [str(part) for part in problem["loc"]]
        key = ".".join(location)
        if problem["type"] == "extra_forbidden":
            known = sorted(_fields_at(location[:-1]))
            yield (
                f"unknown setting {key}: expected one of {', '.join(known)}"
                f"{_nearest(location[-1], known) or _elsewhere(location[-1])}"
            )
        else:
            found = "" if problem["type"] == "missing" else f", found {problem['input']!r}"
            yield f"setting {key}: {explained(problem['msg'])}{found}"


def explained(text: str) -> str:
    """Return what pydantic says of a wrong value in the words of our own errors."""
    text = text.removeprefix("Value error, ").replace("Input should be", "expected")
    for theirs, ours in _WORDS:
        text = theirs.sub(ours, text)
    return text[:1].lower() + text[1:]


_WORDS: Final = tuple(
    (re.compile(theirs), ours)
    for theirs, ours in (
        (r"a valid integer(, .*)?$", "a whole number"),
        (r"a valid number(, .*)?$", "a number"),
        (r"a valid boolean(, .*)?$", "true or false"),
        (r"a valid string$", "a text"),
        (r"a valid dictionary or instance of \w+$", "settings by name, as in {name: value}"),
        (r"^expected greater than or equal to ", "expected at least "),
        (r"^expected less than or equal to ", "expected at most "),
        (r"^expected greater than ", "expected more than "),
        (r"^keys should be strings$", "expected the name of a setting"),
    )
)
"""What pydantic says of wrong values, and the words of `hamba settings` for it."""


def _fields_at(location: Sequence[str]) -> Mapping[str, Any]:
    """Return the fields of the settings model at this place in the tree; none where there is no model."""
    model: type[BaseModel] = Settings
    for part in location:
        field = model.model_fields.get(part)
        if field is None:
            return {}
        candidates = (field.annotation, *get_args(field.annotation))
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not models:
            return {}
        model = models[0]
    return model.model_fields


def _nearest(name: str, known: Sequence[str]) -> str:
    """Return a question that offers the known name nearest to this one; nothing where none is near."""
    matches = get_close_matches(name, known, n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def _elsewhere(name: str) -> str:
    """Return a question that offers the places where this key would be right."""
    places = [f"{stage}.{name}" for stage in Settings.model_fields if name in _fields_at([stage])]
    return f"; did you mean {' or '.join(places)}?" if places else ""
