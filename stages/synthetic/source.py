"""The test pattern is a source of frames."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hamba_core.arrays import Array
from hamba_core.errors import DependencyError, SourceError
from stages.contract import Source
from stages.packets import Frame, FrameMeta, SourceInfo
from stages.synthetic.settings import SyntheticSettings, parse_synthetic
from stages.synthetic.truth import HandTruth

if TYPE_CHECKING:
    from stages.synthetic.world import World

LONGEST_WAIT = 0.1
"""Seconds after which a live source that has nothing yet says so."""


class SyntheticSource(Source):
    """A source of animated hands with exact ground truth; pictures are the same for the same settings and machine.

    A live one gives frames at their time by `clock`, as a camera does: it yields None while it waits, and skips what
    it was too slow to draw, so that `pts` may jump while indices do not.
    """

    name = "synthetic"

    def __init__(
        self, settings: SyntheticSettings, text: str = "synthetic:", *, stream: str = "hands",
        clock: Callable[[], int] = time.monotonic_ns, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        """Take the user's `text` and the `stream` name that frames carry; `clock` gives ns, `sleep` takes s."""
        self.settings = settings
        self.live = settings.live
        self._text, self._stream, self._clock, self._sleep = text, stream, clock, sleep
        self._world: World | None = None

    def open(self) -> SourceInfo:
        """Make up person, place and choreography, in a second or two. Raises DependencyError without Open3D, OpenCV."""
        try:
            from stages.synthetic.world import World
        except ImportError as error:
            raise DependencyError(
                f"{self._text}: drawing hands needs Open3D and OpenCV, found that {error}; "
                "install them (pip install open3d opencv-contrib-python) or use another source"
            ) from error
        self._world = World(self.settings)
        s = self.settings
        return SourceInfo(self._text, "synthetic", s.live, s.width, s.height, s.fps, s.frames, self._world.camera)

    def frames(self) -> Iterator[Frame | None]:
        """Yield frames from the first to the last. Raises SourceError if the source is not open."""
        world = self._opened()
        if self.settings.live:
            yield from self._live_frames(world)
        else:
            for number in range(self.settings.frames or 0):
                yield self._frame(world, number, number)

    def _live_frames(self, world: "World") -> Iterator[Frame | None]:
        start, index, number = self._clock(), 0, 0
        last = self.settings.frames
        while True:
            passed = (self._clock() - start) / 1e9
            wait = number / self.settings.fps - passed
            if wait > 0:
                self._sleep(min(wait, LONGEST_WAIT))
                if wait > LONGEST_WAIT:
                    yield None
                continue
            number = max(number, int(passed * self.settings.fps))
            if last is not None and number >= last:
                return
            yield self._frame(world, index, number)
            index, number = index + 1, number + 1

    def _frame(self, world: "World", index: int, number: int) -> Frame:
        s = self.settings
        pts = number / s.fps
        image = world.picture(pts)
        meta = FrameMeta(self._stream, index, pts, self._clock(), s.width, s.height, world.camera)
        return Frame(meta, image)

    def truth(self, pts: float) -> tuple[HandTruth, ...]:
        """Return the true hands of the frame with these `pts`, also those out of the picture. Call `open` first."""
        return self._opened().truth(pts)

    def gestures_at(self, pts: float) -> list[dict[str, float]]:
        """Return how far, rad, each hand's fingers are from each gesture on average. Call `open` first."""
        return self._opened().gestures_at(pts)

    def joints_2d_at(self, pts: float) -> list[Array]:
        """Return the joints (21, 2) px of each hand in the frame with these `pts`, seen or not. Call `open` first."""
        return self._opened().joints_2d_at(pts)

    def _opened(self) -> "World":
        if self._world is None:
            raise SourceError(f"{self._text}: expected an open source, found one that is not; call open() first")
        return self._world

    def close(self) -> None:
        """Forget the world."""
        self._world = None


def synthetic_source(text: str, *, stream: str = "hands") -> SyntheticSource:
    """Return the source that a string like `synthetic:?seed=3&seconds=20` names. Raises ConfigurationError."""
    return SyntheticSource(parse_synthetic(text), text, stream=stream)
