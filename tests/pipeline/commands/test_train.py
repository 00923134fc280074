"""`hamba train` as a person uses it."""

from pathlib import Path
from typing import NoReturn

import pytest

from pipeline.commands.cli import app
from pipeline.terminal import INTERRUPTED, run_app


def test_who_stops_a_training_is_told_how_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.training.train", press)
    assert run_app(app, ["train", "tiny", "--out", str(tmp_path)]) == INTERRUPTED
    assert f"the same command goes on from the last checkpoint in {tmp_path}" in capsys.readouterr().err
