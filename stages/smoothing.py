"""Take the jitter out of hands without making them lag.

Each track is filtered by One-Euro filters (Casiez, Roussel and Vogel, "1 Euro filter", CHI 2012): a low-pass whose
cutoff rises with speed, so that a hand at rest is calm and a fast one is not held back. The joints' mean is filtered as
its place in the picture and its depth, because a camera sees the one far better than the other; rotations are filtered
in the tangent space of SO(3), and turn the hand about that mean; betas, which a hand cannot change, by a running mean.
The hand is then posed anew, so that parameters, joints and vertices stay one hand.
"""

from dataclasses import dataclass, replace
from math import exp, tau
from typing import Final

import numpy as np
from pydantic import Field

from hamba_core.arrays import AnyFloats, Array
from hamba_core.hand import HandModel, Side, exp_so3, log_so3, nearest_rotation
from stages.common.posing import with_mesh
from stages.contract import Stage
from stages.packets import Choice, FrameMeta, FrameResult, Hand
from stages.settings import StageSettings

_LONGEST_GAP: Final = 0.25  # s; after a longer one the hand may be anywhere
_SHORTEST_STEP: Final = 1e-3  # s
_REST, _MOVING = 0.06, 0.25  # m/s of the hand's middle: up to the one it is at rest, from the other on it moves
_BETAS_MEMORY: Final = 2.0  # s, time constant of the betas' running mean


class SmoothingSettings(StageSettings):
    """How calm hands are."""

    strength: float = Field(
        default=1.0, ge=0, le=10, description="0 leaves hands as they are; the higher, the calmer, and the later"
    )


@dataclass(frozen=True)
class _Tuning:
    """How one quantity's filter is set, at strength 1."""

    cutoff: float  # Hz, at rest
    slope: float  # Hz for each unit of speed


_PLACE: Final = _Tuning(cutoff=1.0, slope=80.0)  # speed in tangents of the viewing angle a second
_DEPTH: Final = _Tuning(cutoff=0.7, slope=5.0)  # speed as a share of the depth a second
_ROTATIONS: Final = _Tuning(cutoff=1.0, slope=3.0)  # speed in radians a second
_SPEED_CUTOFF: Final = 3.0  # Hz, of the speeds
_FASTEST_TURN: Final = 30.0  # radians/s; a wrist that turns faster was seen wrongly, now or before
_OFF: Final = 0.1  # of the hand's size in the picture, which holding a turn back may put its joints off
_JUMP: Final = 0.5  # of the hand's size in a frame; a track that jumps like that was on another hand


class Smoothing(Stage[FrameResult, FrameResult]):
    """It takes results and gives them on with the same hands, calmer.

    A track's filters begin anew at its first frame, after a gap of a quarter of a second, and when its side changes:
    that frame's hand passes unchanged. `hand_model` poses the smoothed hands, and those that come without a mesh.
    """

    name = "smooth"

    def __init__(self, settings: SmoothingSettings, hand_model: HandModel) -> None:
        self._strength = settings.strength
        self._hand_model = hand_model
        self._tracks: dict[int, _Track] = {}
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
            self._tracks[hand.track_id] = _Track(hand, meta.pts, self._strength)
            return with_mesh(hand, self._hand_model)
        smoothed = track.follow(hand, meta, self._hand_model)
        self._lag.add(track.lag, track.speed)
        return smoothed


class _Lag:
    """It measures by how much the filters hold the hands' places back: their delay for motion that is slow for them."""

    def __init__(self) -> None:
        self._sums = {"hands at rest": [0.0, 0], "moving ones": [0.0, 0]}

    def add(self, seconds: float, speed: float) -> None:
        """Count one hand in one frame, at this speed, m/s; between rest and motion it does not count."""
        if not _REST < speed < _MOVING:
            held = self._sums["hands at rest" if speed <= _REST else "moving ones"]
            held[0] += seconds
            held[1] += 1

    def text(self) -> str:
        """Return a text as in `adds 30 ms to hands at rest, 7 ms to moving ones`."""
        means = [f"{1e3 * total / count:.0f} ms to {name}" for name, (total, count) in self._sums.items() if count]
        return f"adds {', '.join(means)}" if means else "smooth.strength"


class _Track:
    """The filters of one hand."""

    def __init__(self, hand: Hand, pts: float, strength: float) -> None:
        self.side: Side = hand.side
        self.pts = pts
        self._frames = 1
        self._betas = hand.betas.astype(np.float64)
        place, depth = _seen_from_camera(hand.joints.mean(0))
        self._place = _OneEuro(place, _PLACE, strength)
        self._depth = _OneEuro(depth, _DEPTH, strength)
        self._rotations = _OneEuroRotation(_rotations(hand), _ROTATIONS, strength)
        self.lag = self.speed = 0.0  # s and m/s, of its place in the last frame

    def follow(self, hand: Hand, meta: FrameMeta, model: HandModel) -> Hand:
        """Return the hand of the next frame, smoothed."""
        step = max(meta.pts - self.pts, _SHORTEST_STEP)
        self.pts = meta.pts
        self._frames += 1
        self._betas += max(1 / self._frames, 1 - exp(-step / _BETAS_MEMORY)) * (hand.betas - self._betas)
        place, depth = _seen_from_camera(hand.joints.mean(0))
        jumped = self._place.distance(place) > _JUMP * _width(hand.joints)
        middle = np.append(self._place.step(place, step), 1) * np.exp(self._depth.step(depth, step))
        self.lag, self.speed = float(self._place.lag.max()), float(middle[2]) * self._place.speed
        rotations = self._rotations.step(_rotations(hand), step)
        slower = None if jumped else self._rotations.held_back(0, _FASTEST_TURN * step)
        if slower is not None and self._fits(slower, middle, hand, model):
            rotations = self._rotations.settle(slower)
        posed = model.pose(rotations[0], rotations[1:], self._betas, np.zeros(3), hand.side)
        translation = middle - posed.joints.mean(0)
        joints = posed.joints + translation
        return replace(
            hand,
            global_orient=rotations[0].astype(np.float32),
            hand_pose=rotations[1:].astype(np.float32),
            betas=self._betas.astype(np.float32),
            translation=translation.astype(np.float32),
            joints=joints.astype(np.float32),
            joints_2d=meta.camera.project(joints).astype(np.float32),
            vertices=(posed.vertices + translation).astype(np.float32),
        )

    def _fits(self, rotations: Array, middle: Array, hand: Hand, model: HandModel) -> bool:
        """Return whether a hand turned like that, about its middle (3,) m, still lies on the hand in the picture."""
        joints = model.joints(rotations[0], rotations[1:], self._betas, np.zeros(3), hand.side)
        joints += middle - joints.mean(0)
        apart = joints[:, :2] / joints[:, 2:] - hand.joints[:, :2] / hand.joints[:, 2:]
        return bool(np.linalg.norm(apart, axis=1).mean() < _OFF * _width(hand.joints))


def _rotations(hand: Hand) -> AnyFloats:
    """Return all rotations (16, 3, 3) in model order."""
    return np.concatenate([hand.global_orient[None], hand.hand_pose])


def _width(joints: AnyFloats) -> float:
    """Return how large joints (21, 3) look, in tangents of the viewing angle: the longer side of their box."""
    seen = joints[:, :2] / joints[:, 2:]
    return float(np.ptp(seen, axis=0).max())


def _seen_from_camera(point: AnyFloats) -> tuple[Array, Array]:
    """Return a point (3,) as its place in the picture (2,), tangents of the angles, and its depth's logarithm (1,)."""
    x, y, z = point.astype(np.float64)
    return np.array([x / z, y / z]), np.log([z])


class _OneEuro:
    """The filter for vectors (..., n); each has a speed and a cutoff of its own."""

    def __init__(self, value: Array, tuning: _Tuning, strength: float) -> None:
        self._value = value
        self._velocity = np.zeros_like(self._difference(value))
        self._tuning, self._strength = tuning, strength
        self.lag = np.zeros(1)  # s, of the last step

    def distance(self, new: AnyFloats) -> float:
        """Return how far a new value is from the filtered one."""
        return float(np.linalg.norm(self._difference(new)))

    @property
    def speed(self) -> float:
        """The largest speed that it sees."""
        return float(np.linalg.norm(self._velocity, axis=-1).max())

    def step(self, new: AnyFloats, seconds: float) -> Array:
        """Return the filtered value, `seconds` after the last."""
        difference = self._difference(new)
        self._velocity += _gain(_SPEED_CUTOFF, seconds) * (difference / seconds - self._velocity)
        speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True)
        cutoff = (self._tuning.cutoff + self._tuning.slope * speed) / self._strength
        self.lag = 1 / (tau * cutoff)  # a first-order low-pass delays slow motion by its time constant
        self._value = self._moved(_gain(cutoff, seconds) * difference)
        return self._value

    def _difference(self, new: AnyFloats) -> Array:
        return new - self._value

    def _moved(self, step: Array) -> Array:
        return self._value + step


class _OneEuroRotation(_OneEuro):
    """The filter for rotations (..., 3, 3): differences are rotation vectors from the filtered rotation to the new."""

    def __init__(self, value: AnyFloats, tuning: _Tuning, strength: float) -> None:
        super().__init__(nearest_rotation(value), tuning, strength)
        self._before = self._value

    def step(self, new: AnyFloats, seconds: float) -> Array:
        self._before = self._value
        return super().step(new, seconds)

    def held_back(self, which: int, most: float) -> Array | None:
        """Return the filtered value with this rotation turned by `most` radians since before; None if it is no more."""
        turn = log_so3(self._before[which].T @ self._value[which])
        angle = float(np.linalg.norm(turn))
        if angle <= most:
            return None
        held = self._value.copy()
        held[which] = self._before[which] @ exp_so3(turn * (most / angle))
        return held

    def settle(self, value: Array) -> Array:
        """Go on from this value."""
        self._value = value
        return value

    def _difference(self, new: AnyFloats) -> Array:
        return log_so3(np.swapaxes(self._value, -1, -2) @ new)

    def _moved(self, step: Array) -> Array:
        return self._value @ exp_so3(step)


def _gain(cutoff: Array | float, seconds: float) -> Array | float:
    """Return how far a first-order low-pass of this cutoff, Hz, goes towards a new value in this time: 0 to 1."""
    return 1 / (1 + 1 / (tau * cutoff * seconds))
