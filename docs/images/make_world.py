"""Draw how well a board and a tag tell where the camera stands, in drawn pictures: docs/images/world.png.

python docs/images/make_world.py
"""

from pathlib import Path

import cv2
import numpy as np
from matplotlib import pyplot as plt

from hamba_core.view import Intrinsics
from stages.calibration import charuco, tag
from stages.world.anchor import apart, sight

SIZE, CAMERA = (640, 480), Intrinsics.from_field_of_view(np.radians(60), 640, 480)
SQUARE, TAG_SIZE, SCALE = 0.03, 0.10, 1500.0  # m, m, px a metre of the drawings
BOARDS = {
    "ChArUco board, 9 x 6 squares of 30 mm": charuco(9, 6, SQUARE),
    "AprilTag of 100 mm": tag(5, TAG_SIZE, "APRILTAG_36H11"),
}


def drawings() -> list[tuple[np.ndarray, np.ndarray]]:
    """Each with the pixel of the world's origin."""
    side, tag_side = round(SQUARE * SCALE), round(TAG_SIZE * SCALE)
    markers = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    board = cv2.aruco.CharucoBoard((9, 6), SQUARE, 0.72 * SQUARE, markers)
    picture = np.pad(board.generateImage((9 * side, 6 * side)), side, constant_values=255)
    tags = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    marker = np.pad(cv2.aruco.generateImageMarker(tags, 5, tag_side), tag_side // 2, constant_values=255)
    middle = (tag_side // 2 + tag_side / 2) * np.ones(2)
    return [(picture, 2.0 * side * np.ones(2)), (marker, middle)]


def photographed(
    drawing: tuple[np.ndarray, np.ndarray], T_world_camera: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The drawing in the plane z = 0, with a little blur and noise."""
    picture, origin = drawing
    T = np.linalg.inv(T_world_camera)
    K = np.array([[CAMERA.fx, 0, CAMERA.cx - 0.5], [0, CAMERA.fy, CAMERA.cy - 0.5], [0, 0, 1]])
    metres = np.array([[1, 0, 0.5 - origin[0]], [0, -1, origin[1] - 0.5], [0, 0, SCALE]]) / SCALE
    shrunk = 3  # drawn larger, so that fine squares do not alias
    H = np.diag([shrunk, shrunk, 1.0]) @ K @ np.stack([T[:3, 0], T[:3, 1], T[:3, 3]], 1) @ metres
    H[:2] += (shrunk - 1) / 2 * H[2]
    large = cv2.warpPerspective(picture, H, (shrunk * SIZE[0], shrunk * SIZE[1]), borderValue=(120,))
    grey = cv2.resize(large, SIZE, interpolation=cv2.INTER_AREA).astype(float)
    grey = cv2.GaussianBlur(grey, (0, 0), 0.6) + rng.normal(0, 3, SIZE[::-1])
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, 2)


def looking_at(target: np.ndarray, place: np.ndarray) -> np.ndarray:
    z = (target - place) / np.linalg.norm(target - place)
    x = np.cross(z, (0.0, 1, 0)) / np.linalg.norm(np.cross(z, (0.0, 1, 0)))
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.stack([x, np.cross(z, x), z], 1), place
    return T


def main() -> None:
    """Boards at distances, from directions of 15 to 55 degrees off straight on."""
    rng = np.random.default_rng(1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.9), width_ratios=(1, 1.1), layout="constrained")
    targets = [np.array([3.5 * SQUARE, -2 * SQUARE, 0]), np.zeros(3)]
    distances = np.linspace(0.3, 1.5, 7)
    for (name, board), drawing, target, colour in zip(
        BOARDS.items(), drawings(), targets, ("#00798c", "#d1495b"), strict=True
    ):
        medians, high, lost = [], [], 0
        for distance in distances:
            errors = []
            for _ in range(24):
                tilt, turn = np.radians(rng.uniform(15, 55)), rng.uniform(0, 2 * np.pi)
                way = np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)])
                true = looking_at(target, target + distance * way)
                found = sight(board, photographed(drawing, true, rng), CAMERA)
                lost += found is None
                if found is not None:
                    errors.append(1e3 * apart(found.T_world_camera, true)[0])
            medians.append(np.median(errors) if errors else np.nan)
            high.append(np.quantile(errors, 0.9) if errors else np.nan)
        share = lost / (24 * len(distances))
        right.plot(distances, medians, "o-", color=colour, markersize=4, label=f"{name}: median; not told: {share:.0%}")
        right.plot(distances, high, "--", color=colour, linewidth=1, label="90 %")
    right.set(xlabel="distance, m", ylabel="camera's place, off by mm", yscale="log")
    right.legend(fontsize=7, frameon=False, loc="upper left")
    true = looking_at(targets[0], targets[0] + (0.2, -0.3, 0.4))
    picture = photographed(drawings()[0], true, rng)
    found = sight(BOARDS[next(iter(BOARDS))], picture, CAMERA)
    assert found is not None  # noqa: S101
    T = np.linalg.inv(found.T_world_camera)
    ends = CAMERA.project(np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]]) @ T[:3, :3].T + T[:3, 3])
    left.imshow(picture)
    for end, axis, colour in zip(ends[1:], "xyz", ("#e63946", "#2a9d8f", "#277da1"), strict=True):
        left.annotate("", end, ends[0], arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 2})
        left.annotate(axis, end, color=colour, fontweight="bold")
    left.set_axis_off()
    figure.savefig(Path(__file__).with_name("world.png"), dpi=100)


if __name__ == "__main__":
    main()
