"""Hands as an ideal detector sees them, with noise on demand."""

from collections.abc import Callable

import numpy as np
import pytest

from hamba_core.hand import PosedHand, Side, exp_so3, load_generic_hand
from hamba_core.view import Intrinsics
from stages.packets import Detections, Frame, FrameMeta, HandBox
from stages.reconstruction.landmarks.fingers import FINGER_JOINTS, Fingers

SeeHand = Callable[..., tuple[Detections, PosedHand]]
RandomAngles = Callable[[np.random.Generator, int], np.ndarray]


@pytest.fixture(scope="session")
def random_angles() -> RandomAngles:
    """random_angles(random, count): finger angles (count, 5, 3, 3) anywhere within the generic hand's limits."""
    limits = load_generic_hand().joint_limits[FINGER_JOINTS - 1]

    def draw(random: np.random.Generator, count: int) -> np.ndarray:
        share: np.ndarray = random.beta(2, 2, (count, 5, 3, 3))
        angles: np.ndarray = limits[..., 0] + share * (limits[..., 1] - limits[..., 0])
        return angles

    return draw


@pytest.fixture(scope="session")
def see_hand(random_angles: RandomAngles) -> SeeHand:
    """see_hand(seed, ...) -> a frame with one generic hand as a detector sees it, and the hand that it saw.

    As MediaPipe's, the 3D landmarks are those of a camera that looks straight at the hand.
    """
    model = load_generic_hand()
    fingers = Fingers(model, np.zeros((21, 3)))

    def see(
        seed: int = 0,
        side: Side = "right",
        *,
        betas: np.ndarray | None = None,
        world_noise: float = 0.0,
        pixel_noise: float = 0.0,
        world_scale: float = 1.0,
        track_id: int | None = 1,
        index: int = 0,
        camera: Intrinsics | None = None,
        noise_seed: int = 0,
    ) -> tuple[Detections, PosedHand]:
        random, camera = np.random.default_rng(seed), camera or Intrinsics.estimate(640, 480)
        translation = random.uniform((-0.15, -0.1, 0.3), (0.15, 0.1, 0.9))
        pose = fingers.hand_pose(random_angles(random, 1))[0]
        hand = model.pose(
            exp_so3(random.normal(0, 1, 3)), pose, np.zeros(10) if betas is None else betas, translation, side
        )
        noise = np.random.default_rng((seed, index, noise_seed))
        pixels = camera.project(hand.joints) + noise.normal(0, pixel_noise, (21, 2))
        x, y, _ = camera.rays(pixels).mean(0)
        turn = exp_so3(np.array([-y, x, 0]) / np.hypot(x, y) * np.arctan(np.hypot(x, y)))
        world = (hand.joints - hand.joints.mean(0)) @ turn + noise.normal(0, world_noise, (21, 3))
        box = HandBox(
            side,
            0.9,
            np.concatenate([pixels.min(0), pixels.max(0)]).astype(np.float32),
            pixels.astype(np.float32),
            (world_scale * world).astype(np.float32),
            track_id,
        )
        meta = FrameMeta("hands", index, index / 30, index + 1, 640, 480, camera)
        return Detections(Frame(meta, np.zeros((480, 640, 3), np.uint8)), (box,)), hand

    return see
