"""An estimator turns tracked boxes into hands."""

from abc import ABC
from collections.abc import Callable, Sequence

from hamba_core.errors import ConfigurationError
from stages.packets import Choice, Detections, Hand


class Estimator(ABC):
    """The base of all estimators. The reconstruct stage calls it from one thread: `open`, then the work, then `close`.

    An estimator of your own overrides `hands`, or `begin` if it gains from several frames at once or works elsewhere,
    on a GPU. Its hands are posed by the hand model that the run was given. Their vertices may be left out, as (0, 3):
    the mesh is then made from the parameters where it is needed first.
    """

    name: str
    """As in settings and reports."""
    batch: int = 1
    """How many frames `begin` gains from at once; `open` may lower it."""
    in_flight: int = 1
    """How many calls of `begin` may be under way at once; `open` may set it."""

    wants_maps: bool = False
    """Whether it builds on the maps in the detector's looks; where they are not there, it has to look by itself."""

    def open(self) -> None:  # noqa: B027 - nothing to load is a good default
        """Load what is needed. Raises HambaError."""

    def hands(self, detections: Detections) -> tuple[Hand, ...]:
        """Return the hands of one frame. Frames come in order of time."""
        raise ConfigurationError(
            f"{type(self).__name__}: expected an estimator that has a method `hands` or `begin`, found neither; "
            "docs/extending.md shows one"
        )

    def begin(self, detections: Sequence[Detections]) -> Callable[[], Sequence[tuple[Hand, ...]]]:
        """Start on these frames, in order of time, and return a function that waits for the hands of each."""
        hands = [self.hands(of_frame) for of_frame in detections]
        return lambda: hands

    def choices(self) -> tuple[Choice, ...]:
        """Return what is in use and why, beyond the estimator's own name."""
        return ()

    def close(self) -> None:  # noqa: B027
        """Free everything."""
