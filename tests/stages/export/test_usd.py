"""A USD file shows the recorded hands: to USD's own library."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from hamba_core.errors import DependencyError, OutputError, SourceError
from hamba_core.hand import JOINT_NAMES, SIDES, HandModel, Side, load_generic_hand
from stages.export.formats.usd import export_usd
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection
from stages.packets import Hand
from tests.stages.export.conftest import presences

pytest.importorskip("pxr", reason="needs usd-core (pip install 'hamba-stream[usd]')")
from pxr import Usd, UsdGeom

PoseHand = Callable[..., Hand]
MakeTake = Callable[..., Selection]

GENERIC = load_generic_hand()
R_FILE_CAMERA = np.diag([1.0, -1, -1])


def write(selection: Selection, folder: Path) -> Any:
    [path] = export_usd(selection, folder, ExportSettings(), lambda share: None)
    return Usd.Stage.Open(str(path))


@pytest.mark.parametrize("form", ["float32", "float16"])
@given(st.integers(0, 2**32), st.sampled_from(SIDES), presences)
@settings(max_examples=8)
def test_points_are_the_recorded_meshes_and_joints(
    hand_model: HandModel,
    pose_hand: PoseHand,
    make_take: MakeTake,
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    seed: int,
    side: Side,
    presence: list[bool],
) -> None:
    hands = [pose_hand(hand_model, seed + i, side, 4, 0.02 * i) for i in range(len(presence))]
    frames = [(hand,) if there else () for hand, there in zip(hands, presence, strict=True)]
    stage = write(make_take(hand_model, frames, vertices=form), tmp_path_factory.mktemp("usd"))
    place = f"/hands/hand_4_{side}"
    mesh = UsdGeom.Mesh.Get(stage, f"{place}/hand_4_{side}_mesh")
    joints = UsdGeom.Points.Get(stage, f"{place}/hand_4_{side}_joints")
    np.testing.assert_array_equal(
        np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3), hand_model.faces_of(side)
    )
    for frame, hand in enumerate(hands):
        shown = UsdGeom.Imageable(mesh).ComputeVisibility(frame)
        assert shown == ("inherited" if presence[frame] else "invisible")
        if presence[frame]:
            points = np.array(mesh.GetPointsAttr().Get(frame))
            atol = 1e-6 if form == "float32" else 5e-4
            np.testing.assert_allclose(points, hand.vertices @ R_FILE_CAMERA, atol=atol)
            extent = np.array(mesh.GetExtentAttr().Get(frame))
            np.testing.assert_array_equal(extent, [points.min(0), points.max(0)])
            np.testing.assert_allclose(joints.GetPointsAttr().Get(frame), hand.joints @ R_FILE_CAMERA, atol=1e-6)


def test_the_stage_says_what_its_numbers_mean(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path) -> None:
    stage = write(make_take(GENERIC, [(pose_hand(GENERIC),)] * 5, fps=25.0), tmp_path)
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert stage.GetTimeCodesPerSecond() == stage.GetFramesPerSecond() == 25
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, 4)
    assert stage.GetDefaultPrim().GetPath() == "/hands"
    assert "Amazon" in stage.GetMetadata("comment")
    names = stage.GetPrimAtPath("/hands/hand_1_right/hand_1_right_joints").GetAttribute("names").Get()
    assert tuple(names) == JOINT_NAMES


@pytest.mark.parametrize("side", SIDES)
def test_faces_and_normals_look_outwards(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path, side: Side) -> None:
    stage = write(make_take(GENERIC, [(pose_hand(GENERIC, 0, side),)]), tmp_path)
    mesh = UsdGeom.Mesh.Get(stage, f"/hands/hand_1_{side}/hand_1_{side}_mesh")
    points, normals = np.array(mesh.GetPointsAttr().Get(0)), np.array(mesh.GetNormalsAttr().Get(0))
    faces = np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)
    a, b, c = points[faces].astype(float).transpose(1, 0, 2)
    assert mesh.GetOrientationAttr().Get() == "rightHanded"
    assert np.einsum("ij,ij->", a, np.cross(b, c)) > 1e-4
    assert (np.einsum("ij,ij->i", normals[faces[:, 0]], np.cross(b - a, c - a)) > 0).mean() > 0.95


def test_vertices_have_to_be_recorded(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"record\.vertices=float32"):
        write(make_take(GENERIC, [(pose_hand(GENERIC),)], vertices="none"), tmp_path)


def test_a_folder_that_cannot_be_written_to_is_an_error_that_names_the_file(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"hands\.usdc: expected to be able to write"):
        write(make_take(GENERIC, [(pose_hand(GENERIC),)]), tmp_path / "file")


def test_without_usd_core_the_error_says_how_to_get_it(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(DependencyError, match=r"pip install 'hamba-stream\[usd\]'"):
        write(make_take(GENERIC, [(pose_hand(GENERIC),)]), tmp_path)


def test_memory_does_not_grow_with_the_recording(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path) -> None:
    hands = [(pose_hand(GENERIC, seed),) for seed in range(4)]
    grown = []
    for name, times in (("warm", 64), ("short", 128), ("long", 512)):
        selection = make_take(GENERIC, hands * times)
        (tmp_path / name).mkdir()
        before = resident()
        export_usd(selection, tmp_path / name, ExportSettings(), lambda share: None)
        grown.append(resident() - before)
    assert grown[2] < 40e6  # all samples of the long one are 74 MB


def resident() -> int:
    """Bytes of this process's own memory, without what is mapped from files."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024
