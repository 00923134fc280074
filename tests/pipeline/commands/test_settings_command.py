"""`hamba settings`: every setting is listed, found and written, from the models themselves."""

from pathlib import Path

import pytest
import yaml

from pipeline.commands.cli import app
from pipeline.commands.settings import settings_in
from pipeline.settings import Settings, load_settings
from pipeline.terminal import run_app


def hamba(*arguments: str) -> int:
    return run_app(app, list(arguments))


def test_each_setting_is_listed_with_its_range(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert hamba("settings") == 0
    told = capfd.readouterr().out
    for setting in settings_in(Settings()):
        assert setting.key in told
    line = next(line for line in told.splitlines() if line.startswith("detect.max_hands"))
    assert "at least 1, at most 16" in line


def test_words_find_settings_by_key_and_by_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert hamba("settings", "smooth") == 0
    assert "smooth.strength" in (told := capfd.readouterr().out)
    assert "detect.max_hands" not in told
    assert hamba("settings", "JPEG") == 0
    assert "publish.images" in capfd.readouterr().out


def test_words_that_find_nothing_are_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert hamba("settings", "no-such-word") == 2
    assert "no-such-word" in capfd.readouterr().err


@pytest.mark.parametrize("preset", ["offline", "live"])
def test_the_preset_that_is_written_is_the_one_that_is_read(
    preset: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert hamba("settings", "--yaml", "--preset", preset) == 0
    written = capfd.readouterr().out
    path = tmp_path / "mine.yaml"
    path.write_text(written)
    assert load_settings(str(path)) == load_settings(preset)
    assert "# largest number of hands in a picture" in written


def test_every_setting_says_what_it_is_for() -> None:
    assert [setting.key for setting in settings_in(Settings()) if not setting.help] == []


def test_values_are_written_as_yaml_reads_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("reconstruct: {checkpoint: 'w #2: [x]'}\n")
    assert hamba("settings", "checkpoint", "--yaml", "--preset", str(path)) == 0
    assert yaml.safe_load(capfd.readouterr().out)["reconstruct"]["checkpoint"] == "w #2: [x]"
