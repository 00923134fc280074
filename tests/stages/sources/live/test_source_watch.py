"""The states of a live source on a clock that the tests move."""

import logging
from typing import Any

import numpy as np
import pytest

from stages.packets import Image
from stages.sources.live.source_watch import SourceWatch

S = 10**9


class Watched:
    """A watch that is given thirty pictures a second."""

    def __init__(self) -> None:
        self.now = 0
        self.watch = SourceWatch("cam", lambda: self.now)
        self.random = np.random.default_rng(0)

    def noise(self, height: int = 90, width: int = 120) -> Image:
        return self.random.integers(0, 255, (height, width, 3), np.uint8)

    def give(self, seconds: float, picture: Any = None, rate: float = 30.0, nominal: float | None = 30.0) -> None:
        for _ in range(round(seconds * rate)):
            self.now += round(S / rate)
            image = self.noise() if picture is None else picture
            self.watch.picture(image, self.now - S // 10, "stream clock", nominal)

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * S)

    @property
    def state(self) -> str:
        return self.watch.status().state


def test_it_is_connecting_until_the_first_picture_and_live_then() -> None:
    watched = Watched()
    watched.wait(3)
    watched.watch.connecting("connection refused")
    status = watched.watch.status()
    assert (status.state, status.seconds, status.reason) == ("connecting", 3.0, "connection refused")
    assert np.isnan(status.age)
    watched.give(2)
    status = watched.watch.status()
    assert (status.state, status.reason, status.captured_by) == ("live", "", "stream clock")
    assert status.age == pytest.approx(0.1)


def test_a_stall_is_told_while_it_lasts_and_counted_once_it_is_over() -> None:
    watched = Watched()
    watched.give(2)
    watched.wait(4)
    status = watched.watch.status()
    assert (status.state, status.seconds) == ("stalled", 4.0)
    assert status.age == pytest.approx(4.1)
    watched.give(1)
    assert watched.state == "live"
    assert watched.watch.status().counts["stalls"] == 1


def test_what_drops_is_lost_until_its_next_picture(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    watched.give(1)
    watched.watch.lost("connection reset")
    watched.wait(2)
    watched.watch.lost("connection refused")
    status = watched.watch.status()
    assert (status.state, status.seconds, status.reason) == ("lost", 2.0, "connection refused")
    watched.watch.back()
    assert watched.state == "lost"
    watched.give(1)
    status = watched.watch.status()
    assert status.state == "live"
    assert status.counts == {"drops": 1, "reconnections": 1}


def test_the_same_picture_again_and_again_is_frozen_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    for _ in range(2):
        watched.give(2)
        picture = watched.noise()
        with caplog.at_level(logging.WARNING):
            watched.give(2, picture)
            assert watched.state == "live"
            watched.give(2, picture)
            assert watched.state == "frozen"
        watched.give(0.1)
        assert watched.state == "live"
    assert watched.watch.status().counts["frozen"] == 2
    assert sum("same picture" in message for message in caplog.messages) == 1


def coded(watched: Watched, seconds: float, *, noisy: bool) -> None:
    """Give video of a scene in which nothing moves: a key frame a second, and between them a little of the coder's."""
    scene = watched.noise()
    for number in range(round(seconds * 30)):
        watched.now += S // 30
        key = number % 30 == 0
        picture = scene.astype(int)
        if not key:
            picture = picture + number % 3
        elif noisy:
            picture = picture + watched.random.integers(0, 2, scene.shape)
        image = picture.clip(0, 255).astype(np.uint8)
        watched.watch.picture(image, watched.now, "stream clock", 30.0, key=key)


def test_of_video_key_frames_tell_a_frozen_picture_from_a_scene_in_which_nothing_moves() -> None:
    watched = Watched()
    coded(watched, 8, noisy=True)
    assert watched.state == "live"
    coded(watched, 8, noisy=False)
    assert watched.state == "frozen"
    coded(watched, 0.1, noisy=True)
    assert watched.state == "live"


@pytest.mark.parametrize(("level", "state"), [(0, "black"), (16, "black"), (60, "live")])
def test_black_is_told_from_dark(level: int, state: str) -> None:
    watched = Watched()
    for _ in range(90):
        watched.give(1 / 30, np.maximum(watched.noise() // 40, level))
    assert watched.state == state


def test_a_new_size_and_a_wrong_rate_are_counted() -> None:
    watched = Watched()
    watched.give(6)
    watched.give(1, watched.noise(180, 240))
    assert watched.watch.status().counts == {"changes of size": 1}
    watched.give(14, rate=15)
    assert watched.watch.status().counts["seconds at another rate"] >= 5


def test_a_rate_that_is_not_known_is_not_wrong() -> None:
    watched = Watched()
    watched.give(20, rate=5, nominal=None)
    assert watched.watch.status().counts == {}


def test_what_is_over_stays_over() -> None:
    watched = Watched()
    watched.give(1)
    watched.watch.ended()
    watched.wait(10)
    assert watched.state == "ended"
