"""`hamba calibrate`, as a person uses it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.commands.cli import app
from pipeline.terminal import run_app
from stages.sources.lens.calibration_file import load_calibration


def hamba(*arguments: str | Path) -> int:
    return run_app(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of a printed board, by a camera of 700 px focal length without distortion."""
    folder = tmp_path_factory.mktemp("shots")
    assert hamba("calibrate", "--draw", folder / "board.png", "--charuco", "7x5", "--square", "0.035") == 0
    board = cv2.imread(str(folder / "board.png"), cv2.IMREAD_GRAYSCALE)
    assert board is not None
    (folder / "board.png").unlink()
    matrix, random = np.array([[700.0, 0, 320], [0, 700, 240], [0, 0, 1]]), np.random.default_rng(0)
    metre = 300 / 0.0254
    middle = (np.array(board.shape[::-1]) - 1) / 2
    for number in range(12):
        R = cv2.Rodrigues(random.uniform([-0.5, -0.5, -0.3], [0.5, 0.5, 0.3]))[0]
        t = random.uniform([-0.09, -0.06, 0.4], [0.09, 0.06, 0.6])
        # From the drawing's pixels to the board's plane, into the camera, to the picture's pixels.
        plane = np.array([[1 / metre, 0, -middle[0] / metre], [0, 1 / metre, -middle[1] / metre], [0, 0, 1]])
        H = matrix @ np.stack([R[:, 0], R[:, 1], t], 1) @ plane
        small = np.diag([4.0, 4, 1])
        drawn = cv2.resize(board, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        picture = cv2.warpPerspective(drawn, H @ small, (640, 480), flags=cv2.INTER_LINEAR, borderValue=(90,))
        cv2.imwrite(str(folder / f"shot{number:02}.png"), picture)
    return folder


def test_a_folder_of_pictures_becomes_a_calibration_that_runs_take(
    shots: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "camera.yaml"
    options: list[str | Path] = ["--charuco", "7x5", "--square", "0.035", "--out", out, "--json"]
    assert hamba("calibrate", shots, *options) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["fx"] == pytest.approx(700, rel=0.01)
    assert told["error"] < 0.3
    assert told["written"] == [str(out), str(tmp_path / "camera.png")]
    assert load_calibration(out).camera.fx == pytest.approx(told["fx"])
    assert cv2.imread(str(tmp_path / "camera.png")) is not None
    assert hamba("calibrate", shots, *options) == 2
    assert "--overwrite" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "found no SOURCE"),
        (["x.mp4", "--charuco", "9"], "--charuco: expected columns and rows, as in 9x6, found '9'"),
        (["x.mp4", "--charuco", "9x6", "--chessboard", "9x6"], "leave one of them out"),
        (["x.mp4", "--square", "30"], "a square of 3 cm is 0.03"),
        (["x.mp4", "--out", "camera.json"], "let it end in .yaml"),
        (["missing.mp4"], "missing.mp4"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert hamba("calibrate", *arguments) == 2
    assert words in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_pictures_without_the_board_say_how_many_were_looked_at(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((480, 640, 3), 90, np.uint8))
    assert hamba("calibrate", tmp_path / "grey.png", "--out", tmp_path / "camera.yaml") == 2
    assert "seen in 0 of 1 frames" in capfd.readouterr().err
