"""Hands and results for every test: the generic hand, posed at random from a seed, in front of a camera."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import ArrayLike

from hamba_core.camera import Intrinsics
from hamba_core.generic_hand import load_generic_hand
from hamba_core.rotations import exp_so3
from hamba_core.skeleton import Side
from stages.packets import (
    ClockAnchor,
    FloatArray,
    FrameMeta,
    FrameResult,
    Hand,
    HandTopology,
    Image,
    RunInfo,
    SourceInfo,
)

MakeHand = Callable[..., Hand]
MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]

R_CAMERA_HAND = np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]])  # fingers up, palm to the camera


def _single(values: ArrayLike) -> FloatArray:
    return np.asarray(values, np.float32)


@pytest.fixture(scope="session")
def topology() -> HandTopology:
    """The generic hand's topology."""
    model = load_generic_hand()
    right, left = (model.faces_of(side).astype(np.int32) for side in ("right", "left"))
    return HandTopology(model.name, len(model.v_template), right, left)


@pytest.fixture(scope="session")
def make_hand() -> MakeHand:
    """make_hand(seed, side, track_id, translation, camera, vertices) -> Hand; the same seed gives the same pose."""

    def make(
        seed: int = 0,
        side: Side = "right",
        track_id: int = 1,
        translation: tuple[float, float, float] = (0.0, 0.05, 0.5),
        camera: Intrinsics | None = None,
        vertices: bool = True,
    ) -> Hand:
        model, random = load_generic_hand(), np.random.default_rng(seed)
        camera = camera or Intrinsics.estimate(640, 480)
        least, most = model.joint_limits[:, 0].T
        flexion = random.uniform(np.maximum(least, 0), most * 0.6)
        hand_pose = exp_so3(model.flexion_axes * flexion[:, None])
        global_orient = exp_so3(random.normal(0, 0.4, 3)) @ R_CAMERA_HAND
        betas = random.normal(0, 0.5, 10)
        posed = model.pose(global_orient, hand_pose, betas, np.array(translation), side)
        pixels = camera.project(posed.vertices)
        return Hand(
            track_id=track_id,
            side=side,
            score=float(random.uniform(0.5, 1)),
            box=_single(np.concatenate([pixels.min(0), pixels.max(0)])),
            global_orient=_single(global_orient),
            hand_pose=_single(hand_pose),
            betas=_single(betas),
            translation=_single(translation),
            joints=_single(posed.joints),
            joints_2d=_single(camera.project(posed.joints)),
            vertices=_single(posed.vertices if vertices else np.zeros((0, 3))),
        )

    return make


@pytest.fixture(scope="session")
def make_result(make_hand: MakeHand) -> MakeResult:
    """make_result(index, hands, ...) -> FrameResult with that many hands (right, left, right...) or those given."""

    def make(
        index: int = 0,
        hands: int | tuple[Hand, ...] = 2,
        *,
        stream: str = "hands",
        pts: float | None = None,
        captured_ns: int | None = None,
        size: tuple[int, int] = (640, 480),
        image: bool | Image = False,
        seed: int = 0,
    ) -> FrameResult:
        camera = Intrinsics.estimate(*size)
        if isinstance(hands, int):
            hands = tuple(
                make_hand(
                    seed + i,
                    "right" if i % 2 == 0 else "left",
                    i + 1,
                    # They move a little from frame to frame, as hands do.
                    (0.12 - 0.24 * (i % 2) + 0.02 * np.sin(index / 5), 0.05, 0.45 + 0.1 * i),
                    camera,
                )
                for i in range(hands)
            )
        pts = index / 30 if pts is None else pts
        meta = FrameMeta(
            stream, index, pts, int(pts * 1e9) + 1_000 if captured_ns is None else captured_ns, *size, camera
        )
        picture = None
        if isinstance(image, np.ndarray):
            picture = image
        elif image:
            rows, columns = np.mgrid[: size[1], : size[0]]
            picture = np.stack([rows % 256, columns % 256, (rows + columns + 3 * index) % 256], -1).astype(np.uint8)
        return FrameResult(meta, hands, {"detect": 21_000_000, "reconstruct": 2_000_000}, picture)

    return make


@pytest.fixture(scope="session")
def make_run(topology: HandTopology) -> MakeRun:
    """make_run(stream, live, ...) -> RunInfo of a 640x480 source."""

    def make(
        stream: str = "hands",
        *,
        live: bool = False,
        size: tuple[int, int] = (640, 480),
        fps: float | None = 30.0,
        topology: HandTopology = topology,
    ) -> RunInfo:
        source = SourceInfo(
            "clip.mp4", "camera" if live else "file", live, *size, fps, None, Intrinsics.estimate(*size)
        )
        return RunInfo(
            stream=stream,
            source=source,
            topology=topology,
            estimator="landmarks",
            clock=ClockAnchor(monotonic_ns=0, unix_ns=1_700_000_000_000_000_000),
            versions={"hamba-stream": "0.1.0"},
            settings={"mode": "live" if live else "offline"},
        )

    return make
