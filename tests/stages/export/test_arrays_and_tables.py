"""What NumPy, csv, json and trimesh read of an export is what was recorded."""

import csv
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from hamba_core.hand import JOINT_NAMES, HandModel, Side, load_generic_hand
from stages.common.openxr_joints import FLAGS, JOINTS, joints_26, radii_of
from stages.export import ExportSettings, export
from stages.export.formats.joint_table import export_csv
from stages.export.formats.mesh_files import export_ply
from stages.export.formats.npz import export_npz
from stages.export.formats.openxr import export_openxr
from stages.export.tracks import Selection
from stages.packets import Hand

PoseHand = Callable[..., Hand]
MakeRecording = Callable[..., Path]

GENERIC = load_generic_hand()
R_FILE_CAMERA = np.diag([1.0, -1, -1])
WITHIN = {"float32": 1e-4, "float16": 5e-4}  # m


@pytest.fixture(scope="module")
def frames(hand_model: HandModel, pose_hand: PoseHand) -> list[tuple[Hand, ...]]:
    """A right hand, a left one that comes later, and a frame without the right one."""
    right = [pose_hand(hand_model, seed, "right", track_id=1) for seed in range(6)]
    left = [pose_hand(hand_model, seed + 50, "left", track_id=4) for seed in range(6)]
    return [(right[0],), (right[1], left[1]), (left[2],), (right[3], left[3]), (right[4], left[4]), ()]


@pytest.fixture(params=["float32", "float16"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def recording(hand_model: HandModel, frames: list[tuple[Hand, ...]], form: str, make_recording: MakeRecording) -> Path:
    return make_recording(hand_model, frames, vertices=form)


def of_track(frames: list[tuple[Hand, ...]], track: int) -> dict[int, Hand]:
    return {i: hand for i, hands in enumerate(frames) for hand in hands if hand.track_id == track}


def test_npz(recording: Path, frames: list[tuple[Hand, ...]], hand_model: HandModel, form: str, tmp_path: Path) -> None:
    [path] = export(recording, tmp_path, ExportSettings(formats=("npz",)))
    with np.load(path) as data:  # allow_pickle is off
        assert data["tracks"].tolist() == ["1_right", "4_left"]
        assert data["joint_names"].tolist() == list(JOINT_NAMES)
        assert data["hand_model"] == hand_model.name
        sides: tuple[Side, Side] = ("right", "left")
        for name, side in zip(("1_right", "4_left"), sides, strict=True):
            hands = of_track(frames, int(name[0]))
            numbers, valid = data[f"{name}/frames"], data[f"{name}/valid"]
            assert numbers[valid].tolist() == list(hands)
            assert numbers.tolist() == list(range(min(hands), max(hands) + 1))
            np.testing.assert_allclose(data[f"{name}/pts"], numbers / 30)
            np.testing.assert_array_equal(data[f"faces_{side}"], hand_model.faces_of(side))
            for field in ("global_orient", "hand_pose", "betas", "translation", "joints", "joints_2d", "score", "box"):
                expected = [getattr(hand, field) for hand in hands.values()]
                np.testing.assert_array_equal(data[f"{name}/{field}"][valid], np.array(expected, np.float32))
                assert np.isnan(data[f"{name}/{field}"][~valid]).all()
            meshes = np.array([hand.vertices for hand in hands.values()])
            assert np.abs(data[f"{name}/vertices"][valid] - meshes).max() < WITHIN[form]
            assert data[f"{name}/camera"].shape == (len(numbers), 4)


def test_csv(recording: Path, frames: list[tuple[Hand, ...]], tmp_path: Path) -> None:
    [path] = export(recording, tmp_path, ExportSettings(formats=("csv",)))
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    found = [(int(line["frame"]), int(line["track"]), line["side"]) for line in lines]
    assert found == [(i, hand.track_id, hand.side) for i, hands in enumerate(frames) for hand in hands]
    for line, hand in zip(lines, (hand for hands in frames for hand in hands), strict=True):
        joints = [[float(line[f"{name}_{axis}"]) for axis in "xyz"] for name in JOINT_NAMES]
        pixels = [[float(line[f"{name}_{axis}_px"]) for axis in "xy"] for name in JOINT_NAMES]
        np.testing.assert_allclose(joints, hand.joints, atol=1e-6)
        np.testing.assert_allclose(pixels, hand.joints_2d, atol=0.01)


@pytest.mark.parametrize("ending", ["ply", "obj"])
def test_meshes(
    ending: str, recording: Path, frames: list[tuple[Hand, ...]], hand_model: HandModel, form: str, tmp_path: Path
) -> None:
    [folder] = export(recording, tmp_path, ExportSettings.model_validate({"formats": (ending,)}))
    expected = {(hand.track_id, hand.side, i): hand for i, hands in enumerate(frames) for hand in hands}
    paths = {key: folder / f"{key[0]}-{key[1]}" / f"{key[2]:06}.{ending}" for key in expected}
    assert sorted(folder.rglob("*.*")) == sorted(paths.values())
    for key, hand in expected.items():
        mesh = trimesh.load(paths[key], process=False)
        assert isinstance(mesh, trimesh.Trimesh)
        assert np.abs(mesh.vertices - hand.vertices @ R_FILE_CAMERA).max() < WITHIN[form]
        np.testing.assert_array_equal(mesh.faces, hand_model.faces_of(hand.side))
        if hand_model.name == "generic":  # a closed surface, so that outside is known
            assert mesh.volume > 0
        own = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        sums = np.zeros((len(mesh.vertices), 3))
        for corner in mesh.faces.T:
            np.add.at(sums, corner, own.face_normals * own.area_faces[:, None])
        agreement = (normals_in(paths[key]) * sums).sum(1) / np.linalg.norm(sums, axis=1).clip(1e-12)
        assert agreement[np.unique(mesh.faces)].min() > 0.999


def normals_in(path: Path) -> NDArray[np.float64]:
    """The normals that stand in the file."""
    if path.suffix == ".obj":
        return np.array([line.split()[1:] for line in path.read_text().splitlines() if line.startswith("vn ")], float)
    head, _, body = path.read_bytes().partition(b"end_header\n")
    count = int(head.split(b"element vertex ")[1].split()[0])
    return np.frombuffer(body, "<f4", 6 * count).reshape(-1, 6)[:, 3:].astype(np.float64)


def test_openxr(recording: Path, frames: list[tuple[Hand, ...]], tmp_path: Path) -> None:
    [path] = export(recording, tmp_path, ExportSettings(formats=("openxr",)))
    about, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert about["joints"] == list(JOINTS)
    assert len(JOINTS) == 26
    assert [line["frame"] for line in lines] == [i for i, hands in enumerate(frames) if hands]
    for line in lines:
        hands = frames[line["frame"]]
        assert [hand["id"] for hand in line["hands"]] == [hand.track_id for hand in hands]
        for written, hand in zip(line["hands"], hands, strict=True):
            positions = np.array(written["positions"])
            np.testing.assert_allclose(positions, joints_26(hand.joints @ R_FILE_CAMERA), atol=2e-6)
            ours = {name: positions[JOINTS.index(name)] for name in JOINTS}
            np.testing.assert_allclose(ours["WRIST"], hand.joints[0] @ R_FILE_CAMERA, atol=2e-6)
            np.testing.assert_allclose(ours["THUMB_PROXIMAL"], hand.joints[2] @ R_FILE_CAMERA, atol=2e-6)
            np.testing.assert_allclose(ours["LITTLE_TIP"], hand.joints[20] @ R_FILE_CAMERA, atol=2e-6)
            np.testing.assert_allclose(np.linalg.norm(written["orientations"], axis=1), 1, atol=1e-5)
            interpolated = [name for name, flags in zip(JOINTS, written["flags"], strict=True) if flags == 3]
            assert interpolated == [
                "PALM", "INDEX_METACARPAL", "MIDDLE_METACARPAL", "RING_METACARPAL", "LITTLE_METACARPAL"
            ]  # fmt: skip
            assert set(written["flags"]) == {3, 15} == set(FLAGS)
            assert min(written["radii"]) > 0


def axes(quaternion: list[float]) -> NDArray[np.float64]:
    """The columns of the rotation matrix of (x, y, z, w)."""
    x, y, z, w = quaternion
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


@pytest.mark.parametrize("side", ["left", "right"])
def test_openxrs_joints_look_along_their_bones_and_up_out_of_the_back_of_the_hand(
    side: str, hand_model: HandModel, pose_hand: PoseHand, make_recording: MakeRecording, tmp_path: Path
) -> None:
    hands = [pose_hand(hand_model, seed, side) for seed in range(8)]
    [path] = export(make_recording(hand_model, [(h,) for h in hands]), tmp_path, ExportSettings(formats=("openxr",)))
    for line, hand in zip(path.read_text().splitlines()[1:], hands, strict=True):
        [written] = json.loads(line)["hands"]
        joints = hand.joints @ R_FILE_CAMERA
        for name, start in (("INDEX_PROXIMAL", 5), ("RING_DISTAL", 15), ("THUMB_METACARPAL", 1), ("LITTLE_TIP", 19)):
            bone = joints[start + 1] - joints[start]
            forward = -axes(written["orientations"][JOINTS.index(name)])[:, 2]
            assert forward @ bone / np.linalg.norm(bone) > 0.999
        # The back of a right hand, seen with the fingers up and the thumb left, faces the one who looks.
        along, across = joints[9] - joints[0], joints[17] - joints[5]
        back = np.cross(across, along) * (1 if side == "right" else -1)
        for name in ("WRIST", "PALM"):
            up = axes(written["orientations"][JOINTS.index(name)])[:, 1]
            assert up @ back / np.linalg.norm(back) > 0.95


def test_a_joints_radius_is_its_distance_to_the_skin() -> None:
    joints, skin = GENERIC.rest_joints_21(np.zeros(10)), GENERIC.v_template
    found = dict(zip(JOINTS, radii_of(joints, skin), strict=True))
    assert found["WRIST"] == pytest.approx(np.linalg.norm(skin - joints[0], axis=1).min())
    assert found["INDEX_TIP"] == found["INDEX_DISTAL"]
    assert 0.003 < found["LITTLE_DISTAL"] < found["WRIST"] < 0.05


def test_a_recording_without_vertices_has_the_generic_hands_radii(
    pose_hand: PoseHand, make_recording: MakeRecording, tmp_path: Path
) -> None:
    recording = make_recording(GENERIC, [(pose_hand(GENERIC),)], vertices="none")
    [path] = export(recording, tmp_path, ExportSettings(formats=("openxr",)))
    [hand] = json.loads(path.read_text().splitlines()[1])["hands"]
    expected = radii_of(GENERIC.rest_joints_21(np.zeros(10)), GENERIC.v_template)
    np.testing.assert_allclose(hand["radii"], expected, atol=1e-5)


@pytest.fixture(scope="module")
def takes(pose_hand: PoseHand, make_take: Callable[..., Selection]) -> list[Selection]:
    """A short and a long one, both longer than what is read at once."""
    hands = (pose_hand(GENERIC, 0, "right", track_id=1), pose_hand(GENERIC, 1, "left", track_id=2))
    return [make_take(GENERIC, [hands] * frames) for frames in (300, 900)]


@pytest.mark.parametrize("exporter", [export_npz, export_csv, export_openxr, export_ply])
def test_memory_does_not_grow_with_the_length(
    exporter: Callable[..., list[Path]], takes: list[Selection], tmp_path: Path
) -> None:
    peaks = []
    for number, selection in enumerate(takes):
        folder = tmp_path / str(number)
        folder.mkdir()
        tracemalloc.start()
        exporter(selection, folder, ExportSettings(), lambda share: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
