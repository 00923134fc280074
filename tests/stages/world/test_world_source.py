"""A board or a tag in drawn pictures, taken by a camera whose place is known."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from hamba_core.arrays import Array
from hamba_core.errors import ConfigurationError, SourceError
from hamba_core.hand import exp_so3, log_so3
from hamba_core.view import Intrinsics
from stages.contract import Source
from stages.packets import Frame, FrameMeta, Image, SourceInfo, WorldPose
from stages.sources import SourceSettings, source_for
from stages.world import WorldSettings, WorldSource

SIZE = (640, 480)
CAMERA = Intrinsics(620, 615, 327, 236)
COLUMNS, ROWS, SQUARE = 7, 5, 0.04
TAG, TAG_SIZE = 23, 0.12
SCALE = 1250.0  # px a metre of drawings


def drawn_board() -> tuple[Image, Array]:
    """A ChArUco board with white about it, and where its first inner corner is, px."""
    markers = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    board = cv2.aruco.CharucoBoard((COLUMNS, ROWS), SQUARE, 0.72 * SQUARE, markers)
    side = round(SQUARE * SCALE)
    picture = np.pad(board.generateImage((COLUMNS * side, ROWS * side)), side, constant_values=255)
    return np.asarray(picture, np.uint8), np.array([2.0 * side, 2.0 * side])


def drawn_tag() -> tuple[Image, Array]:
    markers = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    side = round(TAG_SIZE * SCALE)
    picture = np.pad(cv2.aruco.generateImageMarker(markers, TAG, side), side // 2, constant_values=255)
    return np.asarray(picture, np.uint8), np.array([side, side], np.float64)


def photographed(drawing: tuple[Image, Array], T_world_camera: Array) -> Image:
    """The drawing, which lies in the world's plane z = 0 with y up, as the camera sees it."""
    picture, origin = drawing
    T = np.linalg.inv(T_world_camera)
    K = np.array([[CAMERA.fx, 0, CAMERA.cx - 0.5], [0, CAMERA.fy, CAMERA.cy - 0.5], [0, 0, 1]])
    plane = K @ np.stack([T[:3, 0], T[:3, 1], T[:3, 3]], 1)
    # From the drawing's pixels, whose middles are whole numbers, to metres in the plane.
    metres = np.array([[1, 0, 0.5 - origin[0]], [0, -1, origin[1] - 0.5], [0, 0, SCALE]]) / SCALE
    grey = cv2.warpPerspective(picture, plane @ metres, SIZE, flags=cv2.INTER_AREA, borderValue=(110,))
    return np.asarray(cv2.cvtColor(cv2.GaussianBlur(grey, (3, 3), 0.6), cv2.COLOR_GRAY2RGB), np.uint8)


def looking_at(target: Array, place: Array, roll: float = 0.0) -> Array:
    """T_world_camera of a camera at a place that looks at a point, its picture's top towards the world's y."""
    z = (target - place) / np.linalg.norm(target - place)
    x = np.cross(z, (0.0, 1, 0))
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = np.stack([x, np.cross(z, x), z], 1) @ exp_so3(np.array([0, 0, roll]))
    T[:3, 3] = place
    return T


MIDDLE = np.array([2.5 * SQUARE, -1.5 * SQUARE, 0])
VIEWS = [
    looking_at(MIDDLE, MIDDLE + place, roll)
    for place, roll in (
        ((0.1, -0.3, 0.5), 0.0),
        ((-0.3, -0.1, 0.4), 0.4),
        ((0.25, 0.2, 0.55), -1.2),
        ((0.02, -0.2, 0.6), 3.0),
    )
]


class Filmed(Source):
    """The drawing from places (none: it is covered), thirty times a second."""

    name = "filmed"

    def __init__(self, drawing: tuple[Image, Array], places: Sequence[Array | None], *, stills: bool = False) -> None:
        self._drawing, self._places, self.stills = drawing, places, stills

    def open(self) -> SourceInfo:
        return SourceInfo("board", "file", False, *SIZE, 30.0, len(self._places), CAMERA)

    def frames(self) -> Iterator[Frame | None]:
        nothing = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
        yield None
        for index, place in enumerate(self._places):
            image = nothing if place is None else photographed(self._drawing, place)
            yield Frame(FrameMeta("hands", index, index / 30, index, *SIZE, CAMERA), image)


BOARD = WorldSettings(charuco=f"{COLUMNS}x{ROWS}", square=SQUARE)
ALWAYS = BOARD.model_copy(update={"watch": "always"})


def poses(source: WorldSource) -> list[WorldPose | None]:
    source.open()
    try:
        return [frame.meta.world for frame in source.frames() if frame is not None]
    finally:
        source.close()


def off(found: WorldPose | None, true: Array) -> tuple[float, float]:
    """Millimetres and degrees."""
    assert found is not None
    T = found.T_world_camera
    turn = np.linalg.norm(log_so3(T[:3, :3].T @ true[:3, :3]))
    return 1e3 * float(np.linalg.norm(T[:3, 3] - true[:3, 3])), float(np.degrees(turn))


def test_a_board_tells_where_a_moving_camera_is_in_every_frame() -> None:
    source = WorldSource(Filmed(drawn_board(), VIEWS), ALWAYS, "hands")
    for found, true in zip(poses(source), VIEWS, strict=True):
        millimetres, degrees = off(found, true)
        assert millimetres < 2
        assert degrees < 0.25
        assert found is not None
        assert (found.origin, found.seen, found.age) == ("board", True, 0)
        assert found.error is not None
        assert found.error < 0.5
    assert [choice.subject for choice in source.choices() if choice.fallback] == []


def test_a_tag_tells_where_the_camera_is_too() -> None:
    middle = [looking_at(np.zeros(3), view[:3, 3] - MIDDLE) for view in VIEWS]
    settings = WorldSettings(tag=TAG, tag_size=TAG_SIZE, watch="always")
    for found, true in zip(poses(WorldSource(Filmed(drawn_tag(), middle), settings, "hands")), middle, strict=True):
        millimetres, degrees = off(found, true)
        assert millimetres < 6
        assert degrees < 0.8
        assert found is not None
        assert found.origin == "tag"


def test_another_tag_is_not_taken_for_it() -> None:
    settings = WorldSettings(tag=TAG + 1, tag_size=TAG_SIZE)
    source = WorldSource(Filmed(drawn_tag(), [looking_at(np.zeros(3), np.array([0, -0.1, 0.5]))]), settings, "hands")
    assert poses(source) == [None]
    (told,) = [choice for choice in source.choices() if choice.fallback]
    assert told.subject == "world lost"


def test_a_camera_that_stands_still_keeps_its_place_when_the_board_is_covered() -> None:
    source = WorldSource(Filmed(drawn_board(), [None, *[VIEWS[0]] * 20, *[None] * 30]), BOARD, "hands")
    first, *rest = poses(source)
    assert first is None
    assert off(rest[0], VIEWS[0])[0] < 2
    assert all(found is not None and found.seen for found in rest)
    last = rest[-1]
    assert last is not None
    assert np.array_equal(last.T_world_camera, rest[19].T_world_camera if rest[19] else None)  # type: ignore[arg-type]


def test_that_it_was_moved_is_told_and_its_first_place_kept() -> None:
    moved = VIEWS[0].copy()
    moved[:3, 3] += (0.02, 0, 0)
    source = WorldSource(Filmed(drawn_board(), [VIEWS[0]] * 16 + [moved] * 120), BOARD, "hands")
    assert off(poses(source)[-1], VIEWS[0])[0] < 2
    assert "world drift" in [choice.subject for choice in source.choices() if choice.fallback]
    still = WorldSource(Filmed(drawn_board(), [VIEWS[0]] * 16 + [VIEWS[0]] * 120), BOARD, "hands")
    poses(still)
    assert [choice.subject for choice in still.choices() if choice.fallback] == []


def test_a_moving_camera_that_loses_the_board_keeps_its_last_place_for_a_while_and_says_so() -> None:
    source = WorldSource(Filmed(drawn_board(), [VIEWS[0], *[None] * 20]), ALWAYS, "hands")
    found = poses(source)
    kept = [pose for pose in found[1:] if pose is not None]
    assert len(kept) == 15, "half a second"
    assert not any(pose.seen for pose in kept)
    assert [round(pose.age * 30) for pose in kept] == list(range(1, 16))
    assert found[16:] == [None] * 5
    assert "world lost" in [choice.subject for choice in source.choices()]


def test_single_pictures_do_not_lend_each_other_their_place() -> None:
    source = WorldSource(Filmed(drawn_board(), [VIEWS[0], None, VIEWS[1]], stills=True), BOARD, "hands")
    first, without, second = poses(source)
    assert without is None
    assert off(first, VIEWS[0])[0] < 2
    assert off(second, VIEWS[1])[0] < 2


def test_two_cameras_that_see_one_board_share_its_world() -> None:
    point = np.array([0.05, 0.02, 0.1])  # of the world
    for one, other in ((VIEWS[0], VIEWS[1]), (VIEWS[1], VIEWS[2])):
        places = []
        for view in (one, other):
            (found,) = poses(WorldSource(Filmed(drawn_board(), [view]), BOARD, "hands"))
            assert found is not None
            T = np.linalg.inv(view)
            places.append(found.points(T[:3, :3] @ point + T[:3, 3]))
        assert np.linalg.norm(places[0] - places[1]) < 0.004
        np.testing.assert_allclose(places[0], point, atol=0.003)


def test_a_guessed_lens_is_told() -> None:
    class Guessed(Filmed):
        def frames(self) -> Iterator[Frame | None]:
            for frame in super().frames():
                if frame is not None:
                    camera = Intrinsics(CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy, estimated=True)
                    meta = FrameMeta("hands", 0, 0.0, 0, *SIZE, camera)
                    yield Frame(meta, frame.image)

    source = WorldSource(Guessed(drawn_board(), [VIEWS[0]]), BOARD, "hands")
    poses(source)
    assert "world scale" in [choice.subject for choice in source.choices()]


def test_a_source_by_name_tells_the_place_that_a_file_says(tmp_path: Path) -> None:
    path = tmp_path / "pose.yaml"
    path.write_text(f"T_world_camera: {VIEWS[0].tolist()}\n")
    settings = SourceSettings(world=WorldSettings(pose=path))
    source = source_for("synthetic:?seconds=0.1&width=64&height=48", settings)
    assert isinstance(source, WorldSource)
    found = poses(source)
    assert len(found) == 3
    assert all(off(pose, VIEWS[0])[0] < 1e-9 for pose in found)
    assert source.choices()[-1].subject == "world"


def test_a_trajectory_begins_with_the_source(tmp_path: Path) -> None:
    path = tmp_path / "poses.txt"
    path.write_text("100 0 0 0 0 0 0 1\n100.1 1 0 0 0 0 0 1\n")
    settings = SourceSettings(world=WorldSettings(trajectory=path))
    found = poses(source_for("synthetic:?seconds=0.2&fps=20&width=64&height=48", settings))  # type: ignore[arg-type]
    assert [round(float(pose.T_world_camera[0, 3]), 6) for pose in found if pose] == [0, 0.5, 1, 1]
    assert [pose.seen for pose in found if pose] == [True, True, True, False], "0.05 s after the last pose"
    later = SourceSettings(world=WorldSettings(trajectory=path, start=99.0))
    assert poses(source_for("synthetic:?seconds=0.1&width=64&height=48", later)) == [None] * 3  # type: ignore[arg-type]


def test_wrong_settings_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="found charuco and tag"):
        WorldSettings(charuco="7x5", tag=3)
    with pytest.raises(ValidationError, match="columns and rows"):
        WorldSettings(charuco="seven")
    with pytest.raises(ConfigurationError, match="expected one of the 587"):
        WorldSource(Filmed(drawn_tag(), []), WorldSettings(tag=600), "hands").open()
    with pytest.raises(ConfigurationError, match="expected one of OpenCV's markers"):
        WorldSource(Filmed(drawn_tag(), []), WorldSettings(tag=6, dictionary="QR"), "hands").open()
    with pytest.raises(SourceError, match="expected a trajectory"):
        WorldSource(Filmed(drawn_tag(), []), WorldSettings(trajectory=tmp_path / "none"), "hands").open()
