"""Take the jitter out of hands without making them lag: this is the stage, which keeps the hands' tracks."""

from dataclasses import replace
from typing import Final

from pydantic import Field

from hamba_core.hand import HandModel
from stages.common.posing import with_mesh
from stages.contract import Stage
from stages.packets import Choice, FrameMeta, FrameResult, Hand
from stages.settings import StageSettings
from stages.smoothing.limits import JointLimits
from stages.smoothing.track import SmoothedTrack

_LONGEST_GAP: Final = 0.25  # s; after a longer one the hand may be anywhere
_REST, _MOVING = 0.06, 0.25  # m/s of the hand's middle: up to the one it is at rest, from the other on it moves


class SmoothingSettings(StageSettings):
    """How calm hands are."""

    strength: float = Field(
        default=1.0, ge=0, le=10, description="0 turns smoothing off; higher values give less jitter and more lag"
    )


class Smoothing(Stage[FrameResult, FrameResult]):
    """It takes results and gives them on with the same hands, calmer.

    A track's filters begin anew at its first frame, after a gap of a quarter of a second, and when its side changes:
    that frame's hand passes unchanged. `hand_model` poses the smoothed hands, and those that come without a mesh.
    """

    name = "smooth"

    def __init__(self, settings: SmoothingSettings, hand_model: HandModel) -> None:
        self._strength = settings.strength
        self._hand_model, self._limits = hand_model, JointLimits(hand_model)
        self._tracks: dict[int, SmoothedTrack] = {}
        self._lag = _Lag()

    def process(self, packet: FrameResult) -> FrameResult:
        meta = packet.frame
        if not self._strength:
            return replace(packet, hands=tuple(with_mesh(hand, self._hand_model) for hand in packet.hands))
        hands = tuple(self._smoothed(hand, meta) for hand in packet.hands)
        self._tracks = {id_: t for id_, t in self._tracks.items() if 0 <= meta.pts - t.pts <= _LONGEST_GAP}
        return replace(packet, hands=hands)

    def close(self) -> None:
        self._tracks = {}

    def choices(self) -> tuple[Choice, ...]:
        """Return the strength, and by how much hands were held back so far."""
        if not self._strength:
            return (Choice("smoothing", "off", "smooth.strength is 0"),)
        return (Choice("smoothing", f"strength {self._strength:g}", self._lag.text()),)

    def _smoothed(self, hand: Hand, meta: FrameMeta) -> Hand:
        track = self._tracks.get(hand.track_id)
        if track is None or track.side != hand.side or not 0 <= meta.pts - track.pts <= _LONGEST_GAP:
            self._tracks[hand.track_id] = SmoothedTrack(hand, meta.pts, self._strength)
            return with_mesh(hand, self._hand_model)
        smoothed = track.follow(hand, meta, self._hand_model, self._limits)
        self._lag.add(track)
        return smoothed


class _Lag:
    """It measures by how much the filters hold the hands' places back: their delay for motion that is slow for them."""

    def __init__(self) -> None:
        self._sums = {"to hands at rest": [0.0, 0], "to moving ones": [0.0, 0], "in depth": [0.0, 0]}

    def add(self, track: SmoothedTrack) -> None:
        """Count a hand in one frame: its place in the picture, unless it is between rest and motion, and its depth."""
        if not _REST < track.speed < _MOVING:
            self._count("to hands at rest" if track.speed <= _REST else "to moving ones", track.lag)
        self._count("in depth", track.lag_in_depth)

    def _count(self, which: str, seconds: float) -> None:
        held = self._sums[which]
        held[0] += seconds
        held[1] += 1

    def text(self) -> str:
        """Return a text as in `adds 30 ms to hands at rest, 2 ms to moving ones, 40 ms in depth`."""
        means = [f"{1e3 * total / count:.0f} ms {name}" for name, (total, count) in self._sums.items() if count]
        return f"adds {', '.join(means)}" if means else "smooth.strength"
