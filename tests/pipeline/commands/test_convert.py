"""`hamba convert` as a person uses it: a recording of the generic hand, and their own MANO file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from hamba_core.hand import arrays_of
from pipeline.commands.cli import app
from pipeline.terminal import run_app
from stages.assets import CLIP
from tests.hamba_core.hand.made_up_hand import made_up_hand


def hamba(*arguments: str | Path) -> int:
    return run_app(app, [str(argument) for argument in arguments])


def test_a_clips_hands_get_manos_parameters_and_keep_their_places(
    write_mano: Callable[..., Path], short_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = arrays_of(made_up_hand()[0])
    mano = write_mano(tmp_path / "MANO_RIGHT.pkl", **{**arrays, "f": arrays["f"].astype(np.uint32)})
    run = tmp_path / "clip"
    assert hamba("run", short_clip, "--out", run, "--no-overlay") == 0
    assert hamba("convert", run, "--hand-model", mano) == 0
    told = capsys.readouterr().err
    assert f"wrote {tmp_path / 'clip-mano' / 'hands.mcap'}" in told
    assert "mm from the recorded surface on average" in told
    for folder in (run, tmp_path / "clip-mano"):
        assert hamba("export", folder, "--to", "npz") == 0
    with np.load(run / "hands.npz") as old, np.load(tmp_path / "clip-mano" / "hands.npz") as new:
        assert str(new["hand_model"]) == "mano"
        assert new["tracks"].tolist() == old["tracks"].tolist()
        for track in old["tracks"]:
            assert new[f"{track}/valid"].all()
            for mine, theirs in zip(new[f"{track}/vertices"], old[f"{track}/vertices"], strict=True):
                assert np.mean(cKDTree(theirs).query(mine)[0]) < 0.003
    assert hamba("info", tmp_path / "clip-mano") == 0
    assert "hand model mano of 778 vertices" in " ".join(capsys.readouterr().out.split())
    # Again: not over what is there, but for those who say so; and never over the recording itself.
    assert hamba("convert", run, "--hand-model", mano) == 2
    assert "not overwritten" in capsys.readouterr().err
    assert hamba("convert", run, "--hand-model", mano, "--overwrite", "--json") == 0
    assert json.loads(capsys.readouterr().out)["mean_m"] < 0.003
    assert hamba("convert", run, "--hand-model", mano, "--out", run, "--overwrite") == 2
    assert "expected another folder" in capsys.readouterr().err
    assert hamba("convert", tmp_path / "clip-mano", "--hand-model", mano) == 2
    assert "found one of mano" in capsys.readouterr().err


def test_without_the_file_it_says_where_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hamba("convert", CLIP, "--hand-model", tmp_path / "nope.pkl") == 2
    assert "expected an MCAP recording" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["view", "web"])
def test_a_recording_that_is_not_there_is_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert hamba(command, "nope.mcap") == 2
    assert "nope.mcap: expected an address" in capsys.readouterr().err
