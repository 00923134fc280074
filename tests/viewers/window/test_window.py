"""The window, on a virtual screen: what it draws is where the truth says."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hamba_core.view import Intrinsics
from stages.common.palette import hand_colour
from stages.packets import FrameResult, Hand, HandTopology
from viewers.client import HandClient
from viewers.player import Player
from viewers.scene import FREE_VIEW_EYE, MIDDLE, look_at

if TYPE_CHECKING:
    from viewers.window.window import HandWindow

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
SIZE = (800, 600)


class Scene:
    """A window, what it follows, and what it is told."""

    def __init__(self, stage: Any, client: HandClient, window: "HandWindow", said: list[str], path: Path) -> None:
        self.stage, self.client, self.window, self.said, self._path = stage, client, window, said, path

    def show(self, result: FrameResult) -> Pixels:
        """Publish, wait until the window has it, and look."""
        self.stage.show(result)
        self.wait(lambda: (shown := self.window._result) is not None and shown.frame.index == self.stage.index - 1)
        return self.look()

    def look(self) -> Pixels:
        """A picture of the window."""
        import cv2

        self.window.step()
        self.window.screenshot(self._path)
        return np.asarray(cv2.imread(str(self._path), cv2.IMREAD_COLOR_RGB), np.uint8)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Let the window work until something is so."""
        until = time.monotonic() + 60
        while not condition():
            assert self.window.step(), "the window was closed"
            assert time.monotonic() < until, "it did not happen in time"


@pytest.fixture
def make_scene(
    screen: dict[str, str], make_stage: Callable[..., Any], tmp_path: Path
) -> Iterator[Callable[..., Scene]]:
    from viewers.window.window import HandWindow

    open_: list[Scene] = []

    def make(*, images: bool = False, words: bool = False, player: Player | None = None) -> Scene:
        stage = make_stage(images=images)
        client = HandClient(stage.address, images=True)
        said: list[str] = []
        window = HandWindow(
            client, width=SIZE[0], height=SIZE[1], screenshots=tmp_path, say=said.append, words=words, player=player
        )
        open_.append(Scene(stage, client, window, said, tmp_path / "look.png"))
        while client.model is None:
            stage.say()
            window.step()
        return open_[-1]

    yield make
    for scene in open_:
        scene.window.close()
        scene.client.close()


def test_numbers_stand_in_the_corner_and_h_adds_the_keys(
    make_scene: Callable[..., "Scene"], make_result: Callable[..., FrameResult]
) -> None:
    scene = make_scene(words=True)
    result = make_result(0, 2)

    def letters(picture: Pixels) -> int:
        return int((picture[:120, :560].min(2) > 150).sum())

    def shown(least: int) -> Callable[[], bool]:
        def is_shown() -> bool:
            scene.stage.show(result)
            return letters(scene.look()) > least

        return is_shown

    scene.wait(shown(100))
    few = letters(scene.look())
    scene.window._actions()[ord("H")]()
    scene.wait(shown(3 * few))
    assert "keys" in scene.said[0]
    scene.window.switch_view()
    scene.wait(shown(3 * few))
    scene.window._actions()[ord("H")]()
    scene.wait(lambda: letters(scene.look()) < 2 * few)


def overlap(a: Mask, b: Mask) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def through_camera(result: FrameResult) -> Intrinsics:
    """The frame's camera as it fills the window."""
    frame = result.frame
    scale = min(SIZE[0] / frame.width, SIZE[1] / frame.height)
    camera = frame.camera.scaled(scale, scale)
    return replace(
        camera, cx=camera.cx + (SIZE[0] - frame.width * scale) / 2, cy=camera.cy + (SIZE[1] - frame.height * scale) / 2
    )


MakeHand = Callable[..., Hand]
MakeResult = Callable[..., FrameResult]
OfColor = Callable[[Pixels, tuple[int, int, int]], Mask]
Silhouette = Callable[..., Mask]


def apart(make_hand: MakeHand, **options: object) -> tuple[Hand, Hand]:
    """A right and a left hand, both wholly in the picture, neither before the other."""
    return (
        make_hand(0, "right", 1, (0.13, 0.06, 0.55), **options),
        make_hand(1, "left", 2, (-0.13, 0.06, 0.62), **options),
    )


@pytest.mark.parametrize("size", [(640, 480), (640, 360), (480, 640)])
def test_hands_are_drawn_where_their_vertices_project(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, topology: HandTopology,
    of_color: OfColor, silhouette: Silhouette, size: tuple[int, int],
) -> None:  # fmt: skip
    scene = make_scene()
    result = make_result(0, apart(make_hand), size=size)
    picture = scene.show(result)
    for hand in result.hands:
        truth = silhouette(hand.vertices, topology.faces_of(hand.side), through_camera(result), *SIZE)
        assert truth.sum() > 2000, "the hand is in the picture"
        assert overlap(of_color(picture, hand_colour(hand.side)), truth) > 0.9


def test_in_the_free_view_hands_are_where_its_eye_sees_them(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, topology: HandTopology,
    of_color: OfColor, silhouette: Silhouette,
) -> None:  # fmt: skip
    scene = make_scene()
    scene.show(make_result(0, apart(make_hand)))
    scene.window.switch_view()
    picture = scene.look()
    T = look_at(FREE_VIEW_EYE, MIDDLE)
    for hand in apart(make_hand):
        vertices = hand.vertices @ T[:3, :3].T + T[:3, 3]
        truth = silhouette(vertices, topology.faces_of(hand.side), Intrinsics.estimate(*SIZE), *SIZE)
        assert overlap(of_color(picture, hand_colour(hand.side)), truth) > 0.88


def test_hands_move_and_vanish_as_those_that_are_published(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, topology: HandTopology,
    of_color: OfColor, silhouette: Silhouette,
) -> None:  # fmt: skip
    scene = make_scene()
    right, left = apart(make_hand)
    for x in (0.1, 0.0, -0.1):
        result = make_result(0, (make_hand(0, "right", 1, (x, 0.0, 0.5)),))
        picture = scene.show(result)
        truth = silhouette(result.hands[0].vertices, topology.faces_right, through_camera(result), *SIZE)
        assert overlap(of_color(picture, hand_colour("right")), truth) > 0.9
    picture = scene.show(make_result(0, (left,)))
    assert of_color(picture, hand_colour("left")).any()
    assert not of_color(picture, hand_colour("right")).any()
    picture = scene.show(make_result(0, ()))
    assert not of_color(picture, hand_colour("left")).any()
    picture = scene.show(make_result(0, (right, left)))
    assert of_color(picture, hand_colour("right")).any()


def test_hands_vanish_when_the_publisher_ends(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, of_color: OfColor
) -> None:
    scene = make_scene()
    assert of_color(scene.show(make_result(0, apart(make_hand))), hand_colour("left")).any()
    scene.stage.leave("ended")
    scene.wait(lambda: not scene.client.alive)
    assert not of_color(scene.look(), hand_colour("left")).any()
    assert scene.window.watch.numbers().hands == 0


def test_each_look_shows_something_else_at_the_same_place(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, of_color: OfColor
) -> None:
    scene = make_scene()
    result = make_result(0, (make_hand(0, "right", 1, (0, 0.05, 0.5)),))
    seen = {}
    for _ in range(3):
        seen[scene.window.look] = of_color(scene.show(result), hand_colour("right"))
        scene.window.switch_look()
    assert scene.window.look == "mesh"
    assert seen["mesh"].sum() > 1.3 * seen["wireframe"].sum() > 1.3 * 1.3 * seen["skeleton"].sum() > 0
    rows, columns = np.nonzero(seen["mesh"])
    for mask in seen.values():
        ys, xs = np.nonzero(mask)
        assert abs(ys.mean() - rows.mean()) < 40
        assert abs(xs.mean() - columns.mean()) < 40
    assert of_color(scene.look(), hand_colour("right")).sum() == seen["mesh"].sum(), "switched without new hands"


def test_hands_without_vertices_are_shown_as_skeletons(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, of_color: OfColor
) -> None:
    scene = make_scene()
    hand = make_hand(0, "right", 1, (0, 0.05, 0.5))
    full = of_color(scene.show(make_result(0, (hand,))), hand_colour("right")).sum()
    bare = replace(hand, vertices=np.zeros((0, 3), np.float32))
    bones = of_color(scene.show(make_result(0, (bare,))), hand_colour("right")).sum()
    assert 0 < bones < full / 2
    assert of_color(scene.show(make_result(0, (hand,))), hand_colour("right")).sum() == full


def test_the_published_picture_fills_the_view_through_the_camera_behind_the_hands(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, of_color: OfColor
) -> None:
    import cv2

    scene = make_scene(images=True)
    rows, columns = np.mgrid[:480, :640]
    gray = ((rows // 40 + columns // 40) % 2 * 120 + 60).astype(np.uint8)
    image = np.repeat(gray[..., None], 3, -1)
    result = make_result(0, (make_hand(0, "right", 1, (0, 0.05, 0.5)),), image=image)
    scene.show(result)
    scene.wait(lambda: scene.window._picture is not None)
    picture = scene.look()
    hand = cv2.dilate(of_color(picture, hand_colour("right")).astype(np.uint8), np.ones((9, 9))) > 0
    wanted = cv2.resize(image, SIZE, interpolation=cv2.INTER_LINEAR).astype(int)
    difference = np.abs(picture.astype(int) - wanted).max(-1)[~hand]
    assert hand.any()
    assert np.median(difference) < 8
    assert (difference < 30).mean() > 0.95
    # Pictures of another camera take the place of the first.
    time.sleep(0.05)  # the next picture's time has come
    scene.show(make_result(1, 0, size=(640, 360), image=True))
    scene.wait(lambda: scene.window._picture is not None)
    picture = scene.look()
    assert (picture[:60] < 60).all(), "above and below a wide picture there is nothing"
    assert picture[100:500].max(-1).mean() > 100


def test_f_shows_all_as_in_a_mirror_and_leaves_the_data_as_they_are(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, of_color: OfColor
) -> None:
    scene = make_scene(images=True)
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, :200] = (0, 200, 0)
    result = make_result(0, apart(make_hand), image=image)
    camera = replace(result.frame.camera, cx=290.0)  # off the middle
    result = replace(result, frame=replace(result.frame, camera=camera))
    scene.show(result)
    scene.wait(lambda: scene.window._picture is not None)
    plain = scene.look()
    scene.window._actions()[ord("F")]()
    mirrored = scene.look()
    colours = (hand_colour("right"), hand_colour("left"), (0, 200, 0))
    for colour in colours:
        mask = of_color(plain, colour)
        assert mask.sum() > 2000
        assert overlap(mask, mask[:, ::-1]) < 0.5
        assert overlap(mask[:, ::-1], of_color(mirrored, colour)) > 0.95
    assert scene.client.newest is not None
    for hand, published in zip(result.hands, scene.client.newest.result.hands, strict=True):
        np.testing.assert_array_equal(hand.vertices, published.vertices)
    scene.show(result)  # what comes next is mirrored too
    scene.wait(lambda: overlap(of_color(scene.look(), colours[0]), of_color(mirrored, colours[0])) > 0.99)
    scene.window._actions()[ord("F")]()
    scene.show(result)
    scene.wait(lambda: overlap(of_color(scene.look(), colours[0]), of_color(plain, colours[0])) > 0.99)


def test_a_recordings_place_is_sought_by_keys_and_by_dragging_its_bar(
    make_scene: Callable[..., Scene], player: Player
) -> None:
    scene = make_scene(player=player)
    actions, playing = scene.window._actions(), scene.window._playing
    assert playing is not None

    def bright(picture: Pixels) -> int:
        return int((picture[-13, 150:].min(1) > 150).sum())

    few = bright(scene.look())
    for key, place in ((262, 5.0), (262, 10.0), (263, 5.0), (269, 20.0), (268, 0.0)):  # right, right, left, End, Home
        actions[key]()
        assert player.place == pytest.approx(place)
    playing._move(scene.window._visualizer, 150 + (784 - 150) / 2, 595)
    playing._button(scene.window._visualizer, 0, 1, 0)
    assert player.place == pytest.approx(10.0, abs=0.1)
    assert bright(scene.look()) > few + 250
    playing._move(scene.window._visualizer, 5000, 300)  # beyond the end, while it is dragged
    assert player.place == pytest.approx(20.0)
    playing._button(scene.window._visualizer, 0, 0, 0)
    playing._move(scene.window._visualizer, 200, 595)
    assert player.place == pytest.approx(20.0)
    actions[ord(" ")]()
    assert player.paused
    # Elsewhere the mouse turns the view, as it does without a bar.
    scene.window.switch_view()
    first = scene.look()
    playing._move(scene.window._visualizer, 400, 300)
    playing._button(scene.window._visualizer, 0, 1, 0)
    playing._move(scene.window._visualizer, 500, 300)
    playing._button(scene.window._visualizer, 0, 0, 0)
    assert (scene.look()[:550] != first[:550]).any()
    assert player.place == pytest.approx(20.0)


def test_the_ground_and_the_camera_are_shown_in_the_free_view_alone(
    make_scene: Callable[..., Scene], make_result: MakeResult
) -> None:
    scene = make_scene()
    through = scene.show(make_result(0, 0))
    assert (through == through[0, 0]).all()
    scene.window.switch_view()
    free = scene.look()
    assert 2000 < (free != free[0, 0]).any(-1).sum() < 100_000
    scene.window.switch_view()
    assert (scene.look() == through).all()


def test_a_person_turns_the_view_with_the_mouse_and_r_brings_it_back(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, of_color: OfColor
) -> None:
    scene = make_scene()
    scene.window.switch_view()
    first = scene.show(make_result(0, apart(make_hand)))
    scene.window._visualizer.get_view_control().rotate(200, 0)
    scene.window._visualizer.update_renderer()
    turned = scene.look()
    for side in ("left", "right"):
        mask = of_color(turned, hand_colour(side))
        assert mask.any(), "turning goes about the hands, so that they stay in view"
        assert overlap(mask, of_color(first, hand_colour(side))) < 0.7
    scene.window._actions()[ord("R")]()
    assert (scene.look() == first).all()


def test_keys_tell_what_they_do_and_take_screenshots(
    make_scene: Callable[..., Scene], make_result: MakeResult, tmp_path: Path
) -> None:
    scene = make_scene()
    scene.show(make_result(0))
    actions = scene.window._actions()
    actions[ord("H")]()
    for key in "HVMSRQ":
        assert f" {key} " in scene.said[0]
    actions[ord("S")]()
    [path] = tmp_path.glob("hamba-*.png")
    assert scene.said[1] == f"wrote {path}"
    assert path.stat().st_size > 1000
    actions[ord("Q")]()
    assert not scene.window.step()


def test_numbers_tell_the_rate_and_how_late_hands_are_shown(
    make_scene: Callable[..., Scene], make_result: MakeResult
) -> None:
    scene = make_scene()
    for index in range(5):
        scene.show(make_result(index))
    numbers = scene.window.watch.numbers()
    assert (numbers.state, numbers.hands, numbers.lost) == ("running", 2, 0)
    assert numbers.rate > 0
    assert numbers.latency is not None
    assert numbers.latency > 0


def resize_windows(width: int, height: int) -> None:
    """As a person does who drags a corner; the test's screen has no other windows."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XDefaultRootWindow.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    root, parent = ctypes.c_ulong(), ctypes.c_ulong()
    children, count = ctypes.POINTER(ctypes.c_ulong)(), ctypes.c_uint()
    x11.XQueryTree(
        display, ctypes.c_ulong(x11.XDefaultRootWindow(display)),
        ctypes.byref(root), ctypes.byref(parent), ctypes.byref(children), ctypes.byref(count),
    )  # fmt: skip
    for window in children[: count.value]:
        x11.XResizeWindow(display, ctypes.c_ulong(window), width, height)
    x11.XFree(children)
    x11.XCloseDisplay(display)


def test_the_view_through_the_camera_fills_the_window_whatever_its_size(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, topology: HandTopology,
    of_color: OfColor, silhouette: Silhouette,
) -> None:  # fmt: skip
    scene = make_scene()
    result = make_result(0, apart(make_hand), size=(640, 480))
    scene.show(result)
    resize_windows(400, 600)
    scene.wait(lambda: scene.look().shape[:2] == (600, 400))
    picture = scene.show(result)
    camera = result.frame.camera.scaled(400 / 640, 400 / 640)
    camera = replace(camera, cy=camera.cy + (600 - 300) / 2)
    for hand in result.hands:
        truth = silhouette(hand.vertices, topology.faces_of(hand.side), camera, 400, 600)
        assert overlap(of_color(picture, hand_colour(hand.side)), truth) > 0.88


def test_without_a_screen_it_says_what_to_do(tmp_path: Path) -> None:
    script = (
        "from viewers.client import HandClient\nfrom viewers.window.window import HandWindow\n"
        "from hamba_core.errors import DeviceError\n"
        "try: HandWindow(HandClient())\nexcept DeviceError as error: print(error)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert "expected a screen with OpenGL, found none" in done.stdout
    assert "hamba web" in done.stdout
