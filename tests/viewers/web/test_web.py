"""The browser page, in a headless browser: what it shows is where the truth says."""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hamba_core.errors import OutputError
from hamba_core.view import Intrinsics
from stages.common.palette import hand_colour
from stages.packets import FrameResult, Hand, HandTopology
from viewers.client import HandClient
from viewers.player import Player

pytest.importorskip("viser", reason="needs viser: pip install 'hamba-stream[web]'")

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
MakeHand = Callable[..., Hand]
MakeResult = Callable[..., FrameResult]
OfColor = Callable[[Pixels, tuple[int, int, int]], Mask]

CANVAS_ALONE = """(() => { const style = document.createElement('style');
    style.textContent = '* { visibility: hidden } canvas { visibility: visible }';
    document.head.append(style); return true; })()"""


def click(label: str) -> str:
    """JavaScript that presses the button of this label; false where there is none yet."""
    return f"""(() => {{
        const button = [...document.querySelectorAll('button')].find(b => b.innerText.trim() == {label!r});
        if (button) button.click(); return !!button; }})()"""


class Scene:
    """A page, what it follows, and the browser that has it open."""

    def __init__(self, stage: Any, client: HandClient, page: Any, browser: Any) -> None:
        self.stage, self.client, self.page, self.browser = stage, client, page, browser

    def until(self, condition: Callable[[], bool], result: FrameResult | None = None, *, silent: bool = False) -> None:
        """Let the page work until something is so, while these hands, or the state alone, are published."""
        deadline = time.monotonic() + 45  # the test ends before its own limit ends all tests
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            for _ in range(5):
                if result is not None:
                    self.stage.show(result)
                elif not silent:
                    self.stage.say()
                self.page.step()

    def open(self, result: FrameResult) -> None:
        """Open the page while these hands are published."""
        self.browser.open(self.page.address)
        self.until(lambda: "frames/s" in self.browser.text(), result)


@pytest.fixture
def make_scene(browser: Any, make_stage: Callable[..., Any]) -> Iterator[Callable[..., Scene]]:
    from viewers.web.web import HandPage

    scenes: list[Scene] = []

    def make(*, images: bool = False, **options: Any) -> Scene:
        stage = make_stage(images=images)
        client = HandClient(stage.address, images=True)
        page = HandPage(client, port=0, **options)
        scenes.append(Scene(stage, client, page, browser))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.browser.open("about:blank")
        scene.page.close()
        scene.client.close()


def overlap(a: Mask, b: Mask) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def apart(make_hand: MakeHand) -> tuple[Hand, Hand]:
    """A right and a left hand, both wholly in the picture, neither before the other."""
    return make_hand(0, "right", 1, (0.13, 0.06, 0.55)), make_hand(1, "left", 2, (-0.13, 0.06, 0.62))


def test_a_browser_that_comes_late_sees_the_hands_where_they_are_and_follows_them(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, topology: HandTopology,
    of_color: OfColor, silhouette: Callable[..., Mask],
) -> None:  # fmt: skip
    scene = make_scene()
    result = make_result(0, apart(make_hand))
    scene.until(lambda: scene.client.received > 0, result)
    for _ in range(3):
        scene.page.step()
    browser = scene.browser
    browser.open(scene.page.address)  # nothing is published while it opens
    scene.until(lambda: browser.run(click("camera")))
    browser.run(CANVAS_ALONE)
    height, width = browser.look().shape[:2]
    # The picture's shape fits into the page's, which is wider than it is high.
    camera = Intrinsics(
        result.frame.camera.fy * height / 480, result.frame.camera.fy * height / 480, width / 2, height / 2
    )
    assert width / height > 640 / 480

    def shows(hands: tuple[Hand, ...], least: float) -> Callable[[], bool]:
        truth = {
            hand.side: silhouette(hand.vertices, topology.faces_of(hand.side), camera, width, height) for hand in hands
        }

        def seen() -> bool:
            picture = browser.look()
            found = {side: of_color(picture, hand_colour(side)) for side in ("left", "right")}
            return all(
                overlap(mask, truth[side]) > least if side in truth else not mask.any() for side, mask in found.items()
            )

        return seen

    scene.until(shows(result.hands, 0.85))
    moved = make_result(0, (make_hand(0, "right", 1, (0.05, 0.02, 0.5)), make_hand(1, "left", 2, (-0.1, 0.1, 0.6))))
    scene.until(shows(moved.hands, 0.85), moved)
    scene.until(shows(moved.hands[:1], 0.85), make_result(0, moved.hands[:1]))

    whole = of_color(browser.look(), hand_colour("right")).sum()
    scene.page.look_choice.value = "skeleton"
    scene.until(lambda: 0 < of_color(browser.look(), hand_colour("right")).sum() < whole / 2)
    scene.page.look_choice.value = "mesh"
    scene.until(shows(moved.hands[:1], 0.85))

    scene.stage.leave("ended")
    scene.until(shows((), 0.85), silent=True)


def test_the_page_tells_the_numbers_and_shows_the_picture_behind_the_hands(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, of_color: OfColor
) -> None:
    scene = make_scene(images=True)
    image = np.zeros((480, 640, 3), np.uint8)
    image[..., 1] = 200  # green, as no hand is
    result = make_result(0, apart(make_hand), image=image)
    browser = scene.browser
    scene.open(result)
    scene.until(lambda: "right 1, left 2" in browser.text(), result)
    text = browser.text()
    for label in ("frames/s", "ms late", "camera", "free", "more"):
        assert label in text
    scene.until(lambda: browser.run(click("camera")), result)
    browser.run(CANVAS_ALONE)
    scene.until(lambda: of_color(browser.look(), (0, 200, 0)).mean() > 0.4, result)
    picture = browser.look()
    assert of_color(picture, hand_colour("left")).sum() > 3000
    assert of_color(picture, hand_colour("right")).sum() > 3000
    scene.stage.leave("failed", "the camera was unplugged")
    scene.until(
        lambda: "failed (the camera was unplugged)" in str(browser.run("document.body.textContent")), silent=True
    )


def test_the_page_is_as_in_a_mirror_where_that_is_wanted(
    make_scene: Callable[..., Scene], make_hand: MakeHand, make_result: MakeResult, of_color: OfColor
) -> None:
    scene = make_scene(images=True, mirror=True)
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, :200, 1] = 200
    result = make_result(0, apart(make_hand), image=image)  # the right hand is on the right, the green on the left
    browser = scene.browser
    scene.open(result)
    scene.until(lambda: browser.run(click("camera")), result)
    browser.run(CANVAS_ALONE)

    def middles() -> list[float]:
        picture = browser.look()
        masks = [of_color(picture, colour) for colour in (hand_colour("right"), hand_colour("left"), (0, 200, 0))]
        return [float(np.nonzero(mask)[1].mean() / mask.shape[1]) if mask.sum() > 1000 else 0.5 for mask in masks]

    def is_mirrored() -> bool:
        right, left, green = middles()
        return right < 0.45 and left > 0.55 and green > 0.6

    def is_plain() -> bool:
        right, left, green = middles()
        return right > 0.55 and left < 0.45 and green < 0.4

    scene.until(is_mirrored, result)
    scene.page.mirror_choice.value = False
    scene.until(is_plain, result)
    scene.page.mirror_choice.value = True
    scene.until(is_mirrored)  # without new hands too


def test_a_visitor_goes_anywhere_in_a_recording(
    make_scene: Callable[..., Scene], make_result: MakeResult, player: Player
) -> None:
    scene = make_scene(player=player)
    scene.open(make_result(0))
    scene.until(lambda: "seconds" in scene.browser.text())

    def is_in_the_middle() -> bool:
        """As a person does who presses the middle of the line, and again where the page moved meanwhile."""
        if abs(player.place - 10) < 1:
            return True
        where = scene.browser.run("""(() => {
            const box = document.querySelector('.mantine-Slider-trackContainer').getBoundingClientRect();
            return `${box.x + box.width / 2} ${box.y + box.height / 2}`; })()""")
        x, y = map(float, where.split())
        for kind in ("mousePressed", "mouseReleased"):
            scene.browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        return False

    scene.until(is_in_the_middle)
    scene.until(lambda: scene.browser.run(click("5 s on")))
    scene.until(lambda: abs(player.place - 15) < 1)
    scene.until(lambda: scene.browser.run(click("play / pause")))
    scene.until(lambda: player.paused)


def test_where_a_visitor_puts_the_slider_is_not_lost_however_soon_the_page_goes_on(player: Player) -> None:
    from viewers.web.seeking import SeekBar

    slider = SimpleNamespace(value=0.0, max=20.0)
    buttons = SimpleNamespace(on_click=lambda call: call)
    gui = SimpleNamespace(add_button_group=lambda *_: buttons, add_slider=lambda *_: slider)
    bar = SeekBar(SimpleNamespace(gui=gui), player)  # type: ignore[arg-type]
    bar.update()
    slider.value = 10.0  # as the page's own thread does, at any time
    bar.update()
    assert player.place == slider.value == 10.0
    player.jump(5.0)
    bar.update()
    assert player.place == slider.value == 15.0


def test_a_taken_port_is_named_with_what_to_do() -> None:
    from viewers.web.web import HandPage

    with socket.create_server(("127.0.0.1", 0)) as server, HandClient() as client:
        port = server.getsockname()[1]
        with pytest.raises(OutputError, match=f"cannot serve a page on 127.0.0.1:{port}: .*--port"):
            HandPage(client, port=port)
        with pytest.raises(OutputError, match=r"cannot serve a page on 192.0.2.1:0: .*--host"):
            HandPage(client, host="192.0.2.1", port=0)


def test_a_browsers_spare_connection_is_not_worth_a_word(
    until: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    from viewers.web.web import HandPage

    logger, tried = logging.getLogger("websockets.server"), threading.Event()

    def see(record: logging.LogRecord) -> bool:
        tried.set()
        return True

    with HandClient() as client:
        page = HandPage(client, port=0)
        logger.filters.insert(0, see)
        try:
            socket.create_connection(("127.0.0.1", int(page.address.rpartition(":")[2]))).close()
            until(tried.is_set)
        finally:
            logger.filters.pop(0)
            page.close()
    assert not [record for record in caplog.records if record.name == logger.name and record.levelno >= logging.WARNING]


def test_without_viser_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['viser'] = None\nfrom hamba_core.errors import DependencyError\n"
        "try: import viewers.web.web\nexcept DependencyError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'hamba-stream[web]'" in done.stdout
