"""An export is there as a whole or not at all, and takes nobody's place unasked."""

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from pydantic import ValidationError

from hamba_core.errors import ConfigurationError, OutputError, SourceError
from hamba_core.hand import load_generic_hand
from stages.export import FORMATS, ExportSettings, export, formats_in
from stages.export.dispatch import target_of
from stages.packets import Hand

GENERIC = load_generic_hand()
PoseHand = Callable[..., Hand]


@pytest.fixture(scope="module")
def recording(pose_hand: PoseHand, make_recording: Callable[..., Path]) -> Path:
    return make_recording(GENERIC, [(pose_hand(GENERIC, seed),) for seed in range(5)])


def test_several_forms_come_of_one_reading_and_progress_only_grows(recording: Path, tmp_path: Path) -> None:
    shares: list[float] = []
    written = export(recording, tmp_path / "new", ExportSettings(formats=("npz", "ply", "csv")), shares.append)
    assert [path.name for path in written] == ["hands.npz", "hands-ply", "hands.csv"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["hands-ply", "hands.csv", "hands.npz"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("form", ["csv", "ply"])
def test_what_is_there_already_is_kept_unless_overwriting_is_asked_for(
    form: str, recording: Path, tmp_path: Path
) -> None:
    settings = ExportSettings.model_validate({"formats": (form,)})
    [target] = export(recording, tmp_path, settings)
    mine = target / "mine.txt" if target.is_dir() else target
    mine.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        export(recording, tmp_path, settings)
    assert mine.read_text() == "mine"
    export(recording, tmp_path, settings.model_copy(update={"overwrite": True}))
    assert not mine.exists() or mine.read_text() != "mine"


def test_a_failed_export_leaves_nothing_and_keeps_what_was_there(
    pose_hand: PoseHand, make_recording: Callable[..., Path], tmp_path: Path
) -> None:
    flat = make_recording(GENERIC, [(pose_hand(GENERIC),)], vertices="none")
    (tmp_path / "hands-ply").mkdir()
    (tmp_path / "hands-ply" / "mine.txt").write_text("mine")
    with pytest.raises(SourceError, match=r"record\.vertices"):
        export(flat, tmp_path, ExportSettings(formats=("ply",), overwrite=True))
    assert [path.name for path in tmp_path.rglob("*")] == ["hands-ply", "mine.txt"]


def test_a_folder_that_cannot_be_made_is_an_error_of_the_output(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        export(recording, tmp_path / "file" / "out", ExportSettings(formats=("csv",)))


def test_a_full_disk_is_an_error_of_the_output_and_leaves_nothing(recording: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="expected to be able to write"):
            export(recording, tmp_path, ExportSettings(formats=("csv", "npz")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_recording_is_an_error_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "hands.mcap").write_text("no recording")
    with pytest.raises(SourceError, match="MCAP"):
        export(tmp_path / "hands.mcap", tmp_path, ExportSettings(formats=("csv",)))


def test_every_form_has_a_target_of_its_own() -> None:
    assert len({target_of(Path("hands.mcap"), form) for form in FORMATS}) == len(FORMATS)


def test_formats_are_read_from_a_list_with_commas() -> None:
    assert formats_in("glb, NPZ,glb") == ("npz", "glb")
    with pytest.raises(ConfigurationError, match="did you mean glb"):
        formats_in("npz,glbb")


@pytest.mark.parametrize("wrong", [{"start": 2.0, "end": 1.0}, {"rate": 0}, {"side": "both"}, {"start": float("nan")}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ExportSettings.model_validate(wrong)


def test_keys_of_an_uneven_pace_are_at_whole_frames(
    pose_hand: PoseHand, make_recording: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a phone that films 30 frames a second on average."""
    pts = [index / 30 + 0.012 * np.sin(2.1 * index) for index in range(40)]
    hand = pose_hand(GENERIC)
    moving = []
    for second in pts:
        shift = np.array([0.3 * second, 0, 0], np.float32)
        moved = {name: getattr(hand, name) + shift for name in ("translation", "joints", "vertices")}
        moving.append((replace(hand, **moved),))
    uneven = make_recording(GENERIC, moving, pts=pts)
    export(uneven, tmp_path, ExportSettings(formats=("glb", "bvh", "npz")))
    assert "glb, bvh: the recording has no even pace: keys are interpolated at its mean of 30" in caplog.text
    [bvh] = (tmp_path / "hands-bvh").glob("*.bvh")
    rows = [line.split() for line in bvh.read_text().partition("Frame Time:")[2].splitlines()[1:]]
    x = np.array([float(row[0]) for row in rows])
    assert len(x) == 40
    assert np.diff(x) == pytest.approx(np.full(39, 100 * 0.3 / 30), abs=0.02)  # cm, though frames were uneven
    gltf = pygltflib.GLTF2().load(str(tmp_path / "hands.glb"))
    assert gltf is not None
    times = {gltf.accessors[sampler.input].max[0] for sampler in gltf.animations[0].samplers}
    assert max(times) == pytest.approx(39 / 30, abs=1e-5)
    with np.load(tmp_path / "hands.npz") as arrays:
        assert arrays["1_right/pts"] == pytest.approx(pts)  # as recorded
    caplog.clear()
    export(uneven, tmp_path / "at", ExportSettings(formats=("bvh",), rate=60))
    assert not caplog.records
    [faster] = (tmp_path / "at" / "hands-bvh").glob("*.bvh")
    assert "Frames: 79" in faster.read_text()
