"""A GLB file shows the recorded hands: to an independent reader, to Khronos's validator and in three.js."""

import json
import subprocess
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest
from hypothesis import given, settings, strategies as st

from hamba_core.arrays import Array
from hamba_core.errors import HandModelError, OutputError, SourceError
from hamba_core.hand import JOINT_NAMES, JOINT_PARENTS, SIDES, HandModel, Side, load_generic_hand
from stages.export.formats.glb.glb_file import export_glb
from stages.export.formats.glb.gltf_file import GltfFile
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection, resampled
from stages.packets import Hand
from tests.stages.export.conftest import presences
from tests.stages.export.gltf_scene import GltfScene

PoseHand = Callable[..., Hand]


MakeTake = Callable[..., Selection]


GENERIC = load_generic_hand()


R_GLTF_CAMERA = np.diag([1.0, -1, -1])


def write(selection: Selection, folder: Path, **settings: Any) -> Path:
    folder.mkdir(exist_ok=True)
    [path] = export_glb(selection, folder, ExportSettings(**settings), lambda share: None)
    return path


def joints_at(scene: GltfScene, hand: str, seconds: float) -> Array:
    return np.array([scene.world(scene.node(name, hand), seconds)[:3, 3] for name in JOINT_NAMES])


@given(st.integers(0, 2**32), st.sampled_from(SIDES), presences, st.sampled_from([0.0, 0.02]))
@settings(max_examples=10)
def test_nodes_are_at_the_recorded_joints_in_every_frame(
    hand_model: HandModel,
    mano_file: Path,
    pose_hand: PoseHand,
    make_take: MakeTake,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    side: Side,
    presence: list[bool],
    drift: float,
) -> None:
    hands = [pose_hand(hand_model, seed + i, side, 7, 0.5 + drift * i) for i in range(len(presence))]
    frames = [(hand,) if there else () for hand, there in zip(hands, presence, strict=True)]
    path = write(make_take(hand_model, frames), tmp_path_factory.mktemp("glb"), hand_model=mano_file, one_shape=False)
    scene = GltfScene(path)
    for index, hand in enumerate(hands):
        if presence[index]:
            joints = joints_at(scene, f"hand 7 {side}", index / 30)
            np.testing.assert_allclose(joints, hand.joints @ R_GLTF_CAMERA, atol=5e-5)


@pytest.mark.parametrize("side", SIDES)
def test_the_skin_is_the_recorded_mesh_where_betas_are_steady(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path, side: Side
) -> None:
    hands = [pose_hand(GENERIC, seed, side) for seed in range(5)]
    scene = GltfScene(write(make_take(GENERIC, [(hand,) for hand in hands]), tmp_path))
    for index, hand in enumerate(hands):
        vertices, faces = scene.mesh(scene.node(f"hand 1 {side} skin"), index / 30)
        np.testing.assert_allclose(vertices[: len(hand.vertices)], hand.vertices @ R_GLTF_CAMERA, atol=1e-5)
        np.testing.assert_array_equal(faces, GENERIC.faces_of(side))


@pytest.mark.parametrize("side", SIDES)
def test_the_skin_of_mano_is_the_recorded_mesh_but_for_pose_correctives(
    mano_like: HandModel, mano_file: Path, pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path, side: Side
) -> None:
    plain = replace(mano_like, posedirs=np.zeros_like(mano_like.posedirs))
    hands = [pose_hand(mano_like, seed, side) for seed in range(3)]
    selection = make_take(mano_like, [(hand,) for hand in hands])
    scene = GltfScene(write(selection, tmp_path, hand_model=mano_file))
    for index, hand in enumerate(hands):
        vertices, _ = scene.mesh(scene.node(f"hand 1 {side} skin"), index / 30)
        expected = pose_hand(plain, index, side).vertices
        np.testing.assert_allclose(vertices[:778], expected @ R_GLTF_CAMERA, atol=2e-5)
        assert np.abs(hand.vertices - expected).max() > 1e-4


@pytest.mark.parametrize("form", ["float32", "float16"])
@pytest.mark.parametrize("side", SIDES)
def test_morph_targets_are_the_recorded_meshes_also_across_stretches(
    hand_model: HandModel, pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path, side: Side, form: str
) -> None:
    hands = [pose_hand(hand_model, seed % 7, side, shape=seed / 100) for seed in range(130)]
    frames = [(hand,) if i not in (3, 5) else () for i, hand in enumerate(hands)]
    scene = GltfScene(write(make_take(hand_model, frames, vertices=form), tmp_path, vertices=True))
    for index in (0, 2, 4, 6, 7, 65, 66, 67, 126, 127, 129):
        shown = shown_meshes(scene, index / 30)
        assert len(shown) == 1
        atol = 1e-6 if form == "float32" else 5e-4
        np.testing.assert_allclose(shown[0], hands[index].vertices @ R_GLTF_CAMERA, atol=max(atol, 3e-5))
    for index in (3, 5):
        assert not shown_meshes(scene, index / 30)


def shown_meshes(scene: GltfScene, seconds: float) -> list[Array]:
    """Those meshes that have a size at this moment."""
    nodes = [i for i, node in enumerate(scene.document.nodes) if node.mesh is not None]
    meshes = [scene.mesh(node, seconds)[0] for node in nodes]
    return [mesh for mesh in meshes if np.ptp(mesh, 0).max() > 1e-3]


def test_hands_come_and_go(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path) -> None:
    there = {"hand 1 right": (0, 1, 2, 3, 4, 5), "hand 2 left": (2, 3, 5), "hand 3 left": (1,)}
    frames = [
        tuple(pose_hand(GENERIC, 0, name.split()[2], int(name.split()[1])) for name in there if index in there[name])
        for index in range(6)
    ]
    scene = GltfScene(write(make_take(GENERIC, frames), tmp_path))
    for name, present in there.items():
        for index in range(6):
            for seconds in (index / 30, (index + 0.9) / 30):  # from its frame on until the next
                extent = np.ptp(joints_at(scene, name, seconds), 0).max()
                assert extent > 0.05 if index in present else extent == 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("vertices", [False, True])
def test_faces_and_normals_look_outwards(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path, side: Side, vertices: bool
) -> None:
    scene = GltfScene(write(make_take(GENERIC, [(pose_hand(GENERIC, 1, side),)]), tmp_path, vertices=vertices))
    [node] = [i for i, node in enumerate(scene.document.nodes) if node.mesh is not None]
    posed, faces = scene.mesh(node, 0)
    a, b, c = posed[faces].transpose(1, 0, 2)
    assert np.einsum("ij,ij->", a, np.cross(b, c)) > 1e-4  # six times the volume
    [primitive] = scene.document.meshes[0].primitives
    rest, normals = (scene.accessor(getattr(primitive.attributes, kind)) for kind in ("POSITION", "NORMAL"))
    a, b, c = rest[faces].transpose(1, 0, 2)
    agree = np.einsum("ij,ij->i", normals[faces[:, 0]], np.cross(b - a, c - a)) > 0
    assert agree.mean() > 0.95
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)


def test_a_hand_that_resampling_leaves_nowhere_is_left_out(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path
) -> None:
    right, left = pose_hand(GENERIC), pose_hand(GENERIC, 1, "left", 2)
    selection = make_take(GENERIC, [(right,), (right, left), (right,), (right,), (right,), (left,)])
    scene = GltfScene(write(resampled(selection, 10, tmp_path / "all"), tmp_path))  # rows at frames 0 and 3
    assert "hand 1 right" in scene.names
    assert "hand 2 left" not in scene.names
    with pytest.raises(SourceError, match="leave --rate out"):
        write(resampled(make_take(GENERIC, [(), (left,), ()]), 10, tmp_path / "none"), tmp_path)


def test_bones_are_manos_tree_with_tips(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path) -> None:
    scene = GltfScene(write(make_take(GENERIC, [(pose_hand(GENERIC),)]), tmp_path))
    [skin] = scene.document.skins
    assert [scene.names[joint] for joint in skin.joints] == [*JOINT_NAMES, "forearm"]
    forearm = skin.joints[21]
    for joint, parent in zip(skin.joints, JOINT_PARENTS, strict=False):
        assert scene.parent(joint) == (skin.joints[parent] if parent >= 0 else forearm)
    assert scene.parent(forearm) == scene.node("hand 1 right")


@pytest.mark.parametrize("side", SIDES)
def test_bones_lie_along_the_fingers_and_none_is_long(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path, side: Side
) -> None:
    hands = [pose_hand(GENERIC, seed, side) for seed in range(3)]
    scene = GltfScene(write(make_take(GENERIC, [(hand,) for hand in hands]), tmp_path))
    worlds = [scene.world(scene.node(name, f"hand 1 {side}"), 1 / 30) for name in ("forearm", *JOINT_NAMES)]
    ends = {0: 1, 1: 10} | {i: i + 1 for i in range(2, 22) if not JOINT_NAMES[i - 1].endswith("_4")}
    for begin, end in ends.items():  # what a bone ends at lies on its y, as Blender draws it
        x, y, z = np.linalg.inv(worlds[begin])[:3] @ worlds[end][:, 3]
        assert 0.01 < y < 0.13
        assert np.hypot(x, z) < 1e-6
    [skin] = scene.document.skins
    assert len(skin.joints) == 22


def test_keys_are_at_whole_frames_where_the_pace_is_even(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path
) -> None:
    hands = [(pose_hand(GENERIC, seed),) for seed in range(6)]
    for name, pts in (
        ("container", [0.0, 0.033, 0.067, 0.1, 0.133, 0.167]),  # a container's milliseconds
        ("late", [7.001, 7.034, 7.101, 7.134, 7.234, 7.267]),  # frames are missing
    ):
        scene = GltfScene(write(make_take(GENERIC, hands, pts=pts), tmp_path / name))
        sampler = scene.document.animations[0].samplers[0]
        frames = scene.accessor(sampler.input)[:, 0] * 30
        np.testing.assert_allclose(frames, np.round((np.array(pts) - pts[0]) * 30), atol=1e-5)


def test_offsets_of_bones_are_animated_only_where_betas_change_and_every_shape_is_wanted(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path
) -> None:
    moved = {}
    for name, drift in (("steady", 0.0), ("drifting", 0.05), ("mean", 0.05)):
        hands = [(pose_hand(GENERIC, seed, shape=0.5 + drift * seed),) for seed in range(3)]
        scene = GltfScene(write(make_take(GENERIC, hands), tmp_path / name, one_shape=name == "mean"))
        channels = scene.document.animations[0].channels
        moved[name] = sum(channel.target.path == "translation" for channel in channels)
    assert moved == {"steady": 1, "drifting": 21, "mean": 1}


def test_mano_needs_the_users_file_or_vertices(
    mano_like: HandModel, pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path
) -> None:
    selection = make_take(mano_like, [(pose_hand(mano_like),)])
    with pytest.raises(HandModelError, match=r"--hand-model.*--vertices"):
        write(selection, tmp_path)
    assert write(selection, tmp_path, vertices=True).exists()


def test_a_skinned_mano_says_whose_mesh_it_contains(
    mano_like: HandModel,
    mano_file: Path,
    pose_hand: PoseHand,
    make_take: MakeTake,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write(make_take(mano_like, [(pose_hand(mano_like),)]), tmp_path, hand_model=mano_file)
    assert "MANO's licence" in caplog.text
    asset = pygltflib.GLTF2().load(str(path)).asset
    assert "Max-Planck" in asset.copyright
    assert asset.extras["hand_model"] == "mano"


def test_vertices_have_to_be_recorded(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path) -> None:
    selection = make_take(GENERIC, [(pose_hand(GENERIC),)], vertices="none")
    with pytest.raises(SourceError, match=r"record\.vertices=float32"):
        write(selection, tmp_path, vertices=True)
    assert write(selection, tmp_path).exists()


def test_a_file_larger_than_the_format_allows_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with (tmp_path / "spool").open("x+b", buffering=0) as spool, pytest.raises(OutputError, match="--start and --end"):
        GltfFile(spool).column(2**28, 4)


def test_memory_does_not_grow_with_the_recording(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path) -> None:
    hands = [(pose_hand(GENERIC, seed, shape=seed / 100),) for seed in range(10)]
    peaks = []
    for name, times in (("warm", 1), ("short", 60), ("long", 240)):
        selection = make_take(GENERIC, hands * times)
        tracemalloc.start()
        write(selection, tmp_path / name)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]


def test_khronos_validator_has_nothing_to_say(
    node_packages: Path, mano_like: HandModel, mano_file: Path, pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path
) -> None:
    """Neither error, warning, information nor hint."""
    files = []
    for model in (GENERIC, mano_like):
        frames = [
            tuple(
                pose_hand(model, 3 * i + track, SIDES[track % 2], track, 0.5 + 0.01 * i)
                for track in range(3)
                if (i + track) % 4 or track == 0
            )
            for i in range(70)
        ]
        for vertices in (False, True):
            folder = tmp_path / f"{model.name} {vertices}"
            files.append(write(make_take(model, frames), folder, hand_model=mano_file, vertices=vertices))
        files.append(write(make_take(model, [(pose_hand(model),)]), tmp_path / model.name, hand_model=mano_file))
    script = (
        "const {validateBytes} = require('gltf-validator'), fs = require('fs');"
        "Promise.all(process.argv.slice(1).map(f => validateBytes(new Uint8Array(fs.readFileSync(f)))))"
        ".then(all => console.log(JSON.stringify(all.map(one => one.issues.messages))))"
    )
    command = ["node", "-e", script, *map(str, files)]
    said = subprocess.run(command, cwd=node_packages, capture_output=True, text=True, check=True, timeout=100)
    assert json.loads(said.stdout) == [[]] * len(files)
