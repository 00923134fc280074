"""The test pattern as a source."""

from itertools import pairwise

import numpy as np
import pytest

from hamba_core.errors import SourceError
from stages.contract import Source
from stages.packets import Frame, Image
from stages.synthetic import SyntheticSettings, SyntheticSource, synthetic_source
from stages.synthetic.world import World, camera_of

SMALL = "synthetic:?width=64&height=48"


class Clock:
    """A clock that moves when somebody sleeps or draws."""

    def __init__(self) -> None:
        self.now = 5_000_000_000

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += round(seconds * 1e9)


class Drawing:
    """Stands for the world: drawing a picture takes a given time."""

    def __init__(self, settings: SyntheticSettings, clock: Clock, seconds: float) -> None:
        self.camera, self._settings, self._clock, self._seconds = camera_of(settings), settings, clock, seconds

    def picture(self, time: float) -> Image:
        self._clock.now += round(self._seconds * 1e9)
        return np.zeros((self._settings.height, self._settings.width, 3), np.uint8)


def live_frames(query: str, drawing: float, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Frame | None], list[int]]:
    """What a live source gives, and the time of each, where drawing takes so many seconds."""
    source, clock = synthetic_source(f"{SMALL}&live=1&{query}"), Clock()
    monkeypatch.setattr(source, "_clock", clock)
    monkeypatch.setattr(source, "_sleep", clock.sleep)
    monkeypatch.setattr(source, "_world", Drawing(source.settings, clock, drawing))
    given = [(frame, clock.now - 5_000_000_000) for frame in source.frames()]
    return [frame for frame, _ in given], [time for _, time in given]


def test_frames_carry_their_number_time_and_camera() -> None:
    source: Source = synthetic_source(f"{SMALL}&seconds=0.2&fps=20&seed=1")
    info = source.open()
    frames = [frame for frame in source.frames() if frame is not None]
    source.close()
    assert (info.kind, info.live, info.width, info.height, info.fps, info.frames) == ("synthetic", False, 64, 48, 20, 4)
    assert info.name == f"{SMALL}&seconds=0.2&fps=20&seed=1"
    assert not info.camera.estimated
    assert [frame.meta.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.meta.pts for frame in frames] == pytest.approx([0, 0.05, 0.1, 0.15])
    assert all(frame.meta.camera == info.camera and frame.meta.stream == "hands" for frame in frames)
    assert all(a.meta.captured_ns < b.meta.captured_ns for a, b in pairwise(frames))


def test_the_truth_of_a_frame_is_found_by_its_time() -> None:
    source = synthetic_source(f"{SMALL}&seconds=1")
    source.open()
    frame = next(frame for frame in source.frames() if frame is not None and frame.meta.index == 3)
    again = World(source.settings)
    for found, expected in zip(source.truth(frame.meta.pts), again.truth(0.1), strict=True):
        np.testing.assert_array_equal(found.joints, expected.joints)
    np.testing.assert_array_equal(frame.image, again.picture(0.1))


def test_a_source_that_is_not_open_says_so() -> None:
    source = SyntheticSource(SyntheticSettings())
    with pytest.raises(SourceError, match="call open"):
        next(source.frames())
    source.close()
    with pytest.raises(SourceError, match="call open"):
        source.truth(0)


def test_live_frames_come_at_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, times = live_frames("fps=10&seconds=1", 0.01, monkeypatch)
    came = [(frame.meta.pts, time) for frame, time in zip(frames, times, strict=True) if frame is not None]
    assert [pts for pts, _ in came] == pytest.approx([k / 10 for k in range(10)])
    assert [time / 1e9 for _, time in came] == pytest.approx([k / 10 + 0.01 for k in range(10)])


def test_a_live_source_that_waits_says_several_times_a_second_that_there_is_nothing_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames, times = live_frames("fps=0.5&seconds=5", 0.01, monkeypatch)
    assert sum(frame is not None for frame in frames) == 2
    assert np.diff(times).max() <= 0.2e9


def test_a_live_source_that_draws_too_slowly_skips_frames_and_keeps_its_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames, times = live_frames("fps=30&seconds=2", 0.075, monkeypatch)
    given = [frame for frame in frames if frame is not None]
    assert [frame.meta.index for frame in given] == list(range(len(given)))
    steps = np.diff([frame.meta.pts for frame in given]) * 30
    assert set(np.round(steps).astype(int)) <= {2, 3}
    late = [time / 1e9 - frame.meta.pts for frame, time in zip(frames, times, strict=True) if frame is not None]
    assert max(late) < 0.075 + 1 / 30 + 1e-6
