"""For tests of exports: recordings of either hand model's hands, and takes of them."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from hamba_core.hand import HandModel, Side, exp_so3, load_generic_hand, read_mano
from hamba_core.view import Intrinsics
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection, select_tracks
from stages.packets import FrameMeta, FrameResult, Hand, HandTopology, RunInfo
from stages.recording import Recorder, RecordingSettings, read_recording

PoseHand = Callable[..., Hand]
MakeRecording = Callable[..., Path]
MakeTake = Callable[..., Selection]

CAMERA = Intrinsics.estimate(640, 480)

presences = st.lists(st.booleans(), max_size=6).map(lambda there: [True, *there, True])
"""Frames with a hand or without, beginning and ending with one."""


@pytest.fixture(scope="session")
def mano_file(write_mano: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like MANO's, of a made-up hand with pose correctives."""
    faces = (np.arange(1538)[:, None] + [0, 1, 2]).astype(np.uint32) % 778
    return write_mano(tmp_path_factory.mktemp("mano") / "MANO_RIGHT.pkl", f=faces)


@pytest.fixture(scope="session")
def mano_like(mano_file: Path) -> HandModel:
    """The hand in that file."""
    return read_mano(mano_file)


@pytest.fixture(scope="session", params=["generic", "mano"])
def hand_model(request: pytest.FixtureRequest, mano_file: Path) -> HandModel:
    """Each of the two hand models."""
    return load_generic_hand() if request.param == "generic" else read_mano(mano_file)


@pytest.fixture(scope="session")
def pose_hand() -> PoseHand:
    """pose_hand(model, seed, side, track_id, shape) -> Hand in any pose; `shape` scales its betas."""

    def pose(model: HandModel, seed: int = 0, side: Side = "right", track_id: int = 1, shape: float = 0.5) -> Hand:
        random = np.random.default_rng(seed)
        rotations = exp_so3(np.concatenate([random.uniform(-2, 2, (1, 3)), random.uniform(-0.9, 0.9, (15, 3))]))
        # Rounded as they are recorded, so that the hand that is measured against is posed by what was recorded.
        global_orient, hand_pose = rotations[0].astype(np.float32), rotations[1:].astype(np.float32)
        betas = (shape * np.linspace(-1, 1, 10)).astype(np.float32)
        translation = random.uniform([-0.1, -0.1, 0.4], [0.1, 0.1, 0.8]).astype(np.float32)
        exact = [np.asarray(array, np.float64) for array in (global_orient, hand_pose, betas, translation)]
        posed = model.pose(exact[0], exact[1], exact[2], exact[3], side)
        return Hand(
            track_id=track_id,
            side=side,
            score=0.9,
            box=np.zeros(4, np.float32),
            global_orient=global_orient,
            hand_pose=hand_pose,
            betas=betas,
            translation=translation,
            joints=posed.joints.astype(np.float32),
            joints_2d=CAMERA.project(posed.joints).astype(np.float32),
            vertices=posed.vertices.astype(np.float32),
        )

    return pose


@pytest.fixture(scope="session")
def make_recording(make_run: Callable[..., RunInfo], tmp_path_factory: pytest.TempPathFactory) -> MakeRecording:
    """make_recording(model, frames, vertices="float32", fps=30.0, pts=None) -> file; a frame is a tuple of hands."""

    def make(
        model: HandModel,
        frames: list[tuple[Hand, ...]],
        *,
        vertices: str = "float32",
        fps: float = 30.0,
        pts: list[float] | None = None,
    ) -> Path:
        right, left = (model.faces_of(side).astype(np.int32) for side in ("right", "left"))
        topology = HandTopology(model.name, len(model.v_template), right, left)
        path = tmp_path_factory.mktemp("recording") / "hands.mcap"
        recorder = Recorder(path, RecordingSettings(vertices=vertices, scene="none"))
        recorder.open(make_run(fps=fps, topology=topology))
        for index, hands in enumerate(frames):
            seconds = index / fps if pts is None else pts[index]
            recorder.write(FrameResult(FrameMeta("hands", index, seconds, 1_000, 640, 480, CAMERA), hands))
        recorder.close()
        return path

    return make


@pytest.fixture(scope="session")
def make_take(make_recording: MakeRecording, tmp_path_factory: pytest.TempPathFactory) -> MakeTake:
    """make_take(model, frames, settings, ...) -> Take of such a recording."""

    def make(
        model: HandModel, frames: list[tuple[Hand, ...]], settings: ExportSettings | None = None, **more: Any
    ) -> Selection:
        recording = read_recording(make_recording(model, frames, **more))
        folder = tmp_path_factory.mktemp("take")
        return select_tracks(recording, settings or ExportSettings(), folder / "tracks", lambda share: None)

    return make


@pytest.fixture(scope="session")
def node_packages(request: pytest.FixtureRequest) -> Path:
    """A folder with the npm packages that look at exported files, kept in pytest's cache."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("needs Node.js: node and npm are not installed (apt-get install nodejs npm)")
    folder = request.config.cache.mkdir("node") if request.config.cache else Path()
    packages = ["gltf-validator@2.0.0-dev.3.10", "three@0.187.0"]
    if not all((folder / "node_modules" / package.rpartition("@")[0]).is_dir() for package in packages):
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), *packages]
        if (done := subprocess.run(command, capture_output=True, text=True, timeout=100)).returncode:
            pytest.skip(f"needs packages of npm, which could not be had: {done.stderr.strip()[-200:]}")
    return folder
