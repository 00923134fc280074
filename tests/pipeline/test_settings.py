"""Settings: presets, overrides, and errors that name the key, what is allowed and the nearest known name."""

from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from hamba_core.errors import ConfigurationError
from pipeline.settings import PRESETS, Settings, load_settings


def message_of(*overrides: str, preset: str = "offline") -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(preset, overrides)
    return str(caught.value)


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_loads_and_names_its_mode(preset: str) -> None:
    assert load_settings(preset).mode == preset


def test_live_publishes_on_this_machine_alone_and_offline_does_not() -> None:
    assert load_settings("live").publish.address == "tcp://127.0.0.1:5557"
    assert load_settings("offline").publish.address is None


def test_an_override_wins_over_the_preset_and_the_last_one_over_the_others() -> None:
    settings = load_settings("live", ["detect.max_hands=1", "mode=offline", "detect.max_hands=4"])
    assert (settings.detect.max_hands, settings.mode) == (4, "offline")


def test_numbers_and_switches_are_read_as_yaml() -> None:
    settings = load_settings("offline", ["detect.mirror=true", "source.lens.fx=null", "source.lens.field_of_view=70"])
    assert settings.detect.mirror is True
    assert settings.source.lens.fx is None
    assert settings.source.lens.field_of_view == 70.0


@pytest.mark.parametrize("name", ["w #2", "123", "1.0", "2026-01-01", "yes", "a: b", "[x", "'q'", "~no-one", " a "])
def test_paths_and_texts_are_taken_as_they_stand(name: str) -> None:
    given = load_settings("offline", [f"reconstruct.checkpoint={name}", f"reconstruct.hand_model={name}"]).reconstruct
    assert (given.checkpoint, given.hand_model) == (Path(name), name)
    assert load_settings("offline", [f"source.calibration={name}"]).source.lens.calibration == Path(name)
    same = load_settings("offline", values={"reconstruct.checkpoint": Path(name), "reconstruct.hand_model": name})
    assert same.reconstruct == given


def test_an_old_name_of_a_sources_setting_goes_before_the_presets_value() -> None:
    assert not load_settings("offline").source.live.reconnect
    assert load_settings("offline", ["source.reconnect=true"]).source.live.reconnect


def test_null_is_none_in_an_override_and_a_file_of_that_name_as_a_value() -> None:
    assert load_settings("live", ["publish.address=null", "source.lens.calibration=null"]).publish.address is None
    assert load_settings("live", values={"source.lens.calibration": Path("null")}).source.lens.calibration == Path(
        "null"
    )
    assert load_settings("live", values={"publish.address": None}).publish.address is None


def test_an_override_wins_over_a_value() -> None:
    assert load_settings("live", ["detect.max_hands=3"], {"detect.max_hands": 1}).detect.max_hands == 3


def test_a_path_begins_with_a_persons_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~clip").touch()
    (tmp_path / "~").touch()
    names = ("~/a.yaml", "~clip", "~")
    found = [load_settings("offline", [f"source.lens.calibration={name}"]).source.lens.calibration for name in names]
    assert found == [tmp_path / "a.yaml", Path("~clip"), Path("~")]


def test_a_file_of_the_users_is_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("mode: live\ndetect: {max_hands: 3}\n")
    settings = load_settings(str(path), ["detect.mirror=true"])
    assert (settings.mode, settings.detect.max_hands, settings.detect.mirror) == ("live", 3, True)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("detect.max_hand=1", ["unknown setting detect.max_hand", "max_hands", "did you mean max_hands?"]),
        ("detct.max_hands=1", ["unknown setting detct", "did you mean detect?"]),
        ("max_hands=1", ["unknown setting max_hands", "did you mean detect.max_hands?"]),
        ("detect.max_hands=0", ["setting detect.max_hands", "expected at least 1, found 0"]),
        ("detect.max_hands=99", ["setting detect.max_hands: expected at most 16, found 99"]),
        ("detect.max_hands=two", ["setting detect.max_hands: expected a whole number, found 'two'"]),
        ("smooth.strength=high", ["setting smooth.strength: expected a number, found 'high'"]),
        ("detect.mirror=perhaps", ["setting detect.mirror: expected true or false, found 'perhaps'"]),
        ("detect=3", ["setting detect: expected settings by name, as in {name: value}, found 3"]),
        ("mode=fast", ["setting mode", "'live' or 'offline'", "found 'fast'"]),
        ("stream=a b", ["setting stream: expected 1 to 64 letters, digits and _ . -, found 'a b'"]),
        ("detect", ["expected stage.key=value"]),
        ("=1", ["expected stage.key=value"]),
        ("detect.=1", ["expected stage.key=value"]),
        ("mode.x=1", ["mode is a single value"]),
        ("detect.max_hands=[", ["expected a YAML value"]),
        ("source.lens.fx=600", ["setting source", "expected all of fx, fy, cx, cy or none of them"]),
    ],
)
def test_a_wrong_override_is_explained(override: str, expected: list[str]) -> None:
    message = message_of(override)
    for part in expected:
        assert part in message


def test_a_stage_that_stands_twice_in_a_preset_is_refused_and_not_half_lost(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("detect:\n  max_hands: 1\nsmooth: {strength: 2}\ndetect:\n  mirror: true\n")
    with pytest.raises(
        ConfigurationError, match=r"mine.yaml: expected YAML, found: each name once, found detect several"
    ):
        load_settings(str(path))


def test_everything_that_is_wrong_is_told_at_once() -> None:
    message = message_of("detect.max_hands=0", "mode=fast", "nonsense=1")
    assert len(message.splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [("- 1\n", "expected a mapping"), ("a: [", "expected YAML"), ("nonsense: 1", "unknown setting nonsense")],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert expected in message_of(preset=str(path))


def test_a_binary_file_is_no_preset(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\xff\xfe\x00\x80")
    assert f"{path}: expected text in UTF-8, found 0xff as byte 0" in message_of(preset=str(path))


def test_an_unknown_preset_names_those_there_are_and_the_nearest() -> None:
    message = message_of(preset="ofline")
    assert "live, offline" in message
    assert "did you mean offline?" in message


def test_no_settings_model_takes_keys_it_does_not_know() -> None:
    models: list[type[BaseModel]] = [Settings]
    for model in models:
        assert model.model_config.get("extra") == "forbid", model
        models += [
            field.annotation
            for field in model.model_fields.values()
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ]
    assert len(models) > 8


def number_settings() -> list[str]:
    """Every setting that is a number, as --set names it."""
    return [
        f"{stage}.{name}"
        for stage, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for name, inner in field.annotation.model_fields.items()
        if float in (inner.annotation, *get_args(inner.annotation))
    ]


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1e400"])
def test_no_setting_is_infinite(value: str) -> None:
    names = number_settings()
    assert "runtime.stall" in names
    for name in names:
        with pytest.raises(ConfigurationError, match=name):
            load_settings("live", [f"{name}={value}"])


def test_settings_that_repeat_without_end_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)))
    assert "repeat without end" in message_of(preset=str(path))
    assert "expected a YAML value" in message_of("detect.max_hands=" + "9" * 5000)
    assert "nested more than" in message_of("detect.max_hands=" + "[" * 100)
