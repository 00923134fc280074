"""Take the jitter out of hands without making them lag.

What a camera sees well is held back little, and what it sees badly much. A hand's place in the picture is seen well,
its depth is not; a turn in the plane of the picture is seen well, a tilt out of it is not; that a finger bends is
motion, that it bends sideways or twists is mostly error. Each of these is filtered for itself: the hand's place and
depth are those of its joints' mean, and rotations turn the hand about that mean. Betas, which a hand cannot change, are
a running mean. The hand is then posed anew, so that parameters, joints and vertices stay one hand.

The filter has four parts, each for what the others cannot do. Two successive frames' mean takes out what changes from
frame to frame, and costs half a frame. A low-pass whose cutoff rises with speed (Casiez, Roussel and Vogel, "1 Euro
filter", CHI 2012) calms a hand at rest and lets a fast one go. A damped trend (Gardner and McKenzie, "Forecasting
trends in time series", 1985), with the gain that is best for constant velocity (Kalata, "The tracking index", 1984),
makes up for the low-pass's lag, and by looking ahead for the mean's.
"""

from dataclasses import dataclass, replace
from math import exp, tau
from typing import Final

import numpy as np
from pydantic import Field

from hamba_core.arrays import AnyFloats, Array
from hamba_core.hand import MIRROR, HandModel, Side, exp_so3, log_so3, nearest_rotation
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
    mean: float = 0.0  # what the frame before counts in the mean, 0 to 1/2
    memory: float = 0.0  # s, time constant by which the trend is damped; 0 is none


_PLACE: Final = _Tuning(cutoff=1.0, slope=120.0)  # speed in tangents of the viewing angle a second
_DEPTH: Final = _Tuning(cutoff=1.7, slope=0.6, mean=0.5, memory=0.32)  # speed as a share of the depth a second
# Speeds in radians a second.
_IN_PICTURE: Final = _Tuning(cutoff=6.0, slope=20.0, mean=0.5, memory=0.05)  # the hand's turn about the line of sight
_TILT: Final = _Tuning(cutoff=0.25, slope=6.0, mean=0.5)  # and about every axis across it
_FLEXION: Final = _Tuning(cutoff=1.2, slope=8.0, mean=0.5, memory=0.05)  # a finger's joint about its own axis
_SIDEWAYS: Final = _Tuning(cutoff=0.3, slope=5.0, mean=0.5)  # and about every other
_SPEED_CUTOFF: Final = 3.0  # Hz, of the speeds
_MEAN_STEP: Final = 0.04  # s; over longer steps the mean counts less, so that it is never later than half of this
_FASTEST_TURN: Final = 30.0  # radians/s; a wrist that turns faster was seen wrongly, now or before
_OFF: Final = 0.1  # of the hand's size in the picture: further off what came, a smoothed hand is not that hand
_NO_VERTICES: Final = np.zeros((0, 3), np.float32)
_BENT: Final = 0.3  # radians, by which a finger's joint may lag; between two poses that far apart may lie none
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
        self._lag.add(track)
        return smoothed


class _Lag:
    """It measures by how much the filters hold the hands' places back: their delay for motion that is slow for them."""

    def __init__(self) -> None:
        self._sums = {"to hands at rest": [0.0, 0], "to moving ones": [0.0, 0], "in depth": [0.0, 0]}

    def add(self, track: "_Track") -> None:
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


class _Track:
    """The filters of one hand."""

    def __init__(self, hand: Hand, pts: float, strength: float) -> None:
        self.side: Side = hand.side
        self.pts = pts
        self._frames = 1
        self._betas = hand.betas.astype(np.float64)
        self._strength = strength
        self._begin(hand)
        self.lag = self.lag_in_depth = self.speed = 0.0  # s, s and m/s, of its place in the last frame

    def _begin(self, hand: Hand) -> None:
        """Begin all filters anew with this hand."""
        place, depth = _seen_from_camera(hand.joints.mean(0))
        self._place = _Vector(place, (_PLACE,), self._strength)
        self._depth = _Vector(depth, (_DEPTH,), self._strength)
        self._orient = _Rotation(hand.global_orient, (_IN_PICTURE, _TILT), self._strength)
        self._fingers = _Rotation(hand.hand_pose, (_FLEXION, _SIDEWAYS), self._strength)

    def follow(self, hand: Hand, meta: FrameMeta, model: HandModel) -> Hand:
        """Return the hand of the next frame, smoothed."""
        step = max(meta.pts - self.pts, _SHORTEST_STEP)
        self.pts = meta.pts
        self._frames += 1
        self._betas += max(1 / self._frames, 1 - exp(-step / _BETAS_MEMORY)) * (hand.betas - self._betas)
        place, depth = _seen_from_camera(hand.joints.mean(0))
        jumped = self._place.distance(place) > _JUMP * _width(hand.joints)
        sight = np.append(self._place.step(place, step), 1)
        middle = sight * np.exp(self._depth.step(depth, step))
        self.lag, self.lag_in_depth = self._place.lag, self._depth.lag
        self.speed = float(middle[2]) * self._place.speed
        if hand.side == "left":  # whose rotations are those of the hand in the mirror
            sight = MIRROR @ sight
        orient = self._orient.step(hand.global_orient, step, sight / np.linalg.norm(sight))
        fingers = self._fingers.step(hand.hand_pose, step, model.flexion_axes)
        fingers = self._fingers.let_go(hand.hand_pose, _BENT)
        rotations = np.concatenate([orient[None], fingers])
        slower = None if jumped else self._orient.held_back(_FASTEST_TURN * step)
        if slower is not None:
            held = np.concatenate([slower[None], fingers])
            if self._fits(held, middle, hand, model):
                self._orient.settle(slower)
                rotations = held
        posed = model.pose(rotations[0], rotations[1:], self._betas, np.zeros(3), hand.side)
        translation = middle - posed.joints.mean(0)
        joints = posed.joints + translation
        if not _lies_on(joints, hand):
            # It moves as the filters did not expect, all of them together: they begin anew.
            begun = hand if jumped else self._turned_in_time(hand, _FASTEST_TURN * step, meta, model)
            self._begin(begun)
            return with_mesh(begun, model)
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

    def _turned_in_time(self, hand: Hand, most: float, meta: FrameMeta, model: HandModel) -> Hand:
        """Return the hand turned by `most` radians since the frame before, if it then lies on what was seen."""
        orient = self._orient.towards(hand.global_orient, most)
        pose, betas = hand.hand_pose.astype(np.float64), hand.betas.astype(np.float64)
        joints = model.joints(orient, pose, betas, np.zeros(3), hand.side)
        shift = hand.joints.mean(0) - joints.mean(0)
        joints = joints + shift
        if not _lies_on(joints, hand):
            return hand
        return replace(
            hand,
            global_orient=orient.astype(np.float32),
            translation=shift.astype(np.float32),
            joints=joints.astype(np.float32),
            joints_2d=meta.camera.project(joints).astype(np.float32),
            vertices=_NO_VERTICES,
        )

    def _fits(self, rotations: Array, middle: Array, hand: Hand, model: HandModel) -> bool:
        """Return whether a hand turned like that, about its middle (3,) m, still lies on the hand in the picture."""
        joints = model.joints(rotations[0], rotations[1:], self._betas, np.zeros(3), hand.side)
        return _lies_on(joints + middle - joints.mean(0), hand)


def _lies_on(joints: Array, hand: Hand) -> bool:
    """Return whether joints (21, 3) m lie near those of the hand as it came, in the picture."""
    apart = joints[:, :2] / joints[:, 2:] - hand.joints[:, :2] / hand.joints[:, 2:]
    return bool(np.linalg.norm(apart, axis=1).mean() < _OFF * _width(hand.joints))


def _width(joints: AnyFloats) -> float:
    """Return how large joints (21, 3) look, in tangents of the viewing angle: the longer side of their box."""
    seen = joints[:, :2] / joints[:, 2:]
    return float(np.ptp(seen, axis=0).max())


def _seen_from_camera(point: AnyFloats) -> tuple[Array, Array]:
    """Return a point (3,) as its place in the picture (2,), tangents of the angles, and its depth's logarithm (1,)."""
    x, y, z = point.astype(np.float64)
    return np.array([x / z, y / z]), np.log([z])


class _Vector:
    """The filter of a vector (n,), and what filters of other quantities share.

    `tunings` are one, or two: of a change's part along an axis that `step` is told, and of what is left of it.
    """

    def __init__(self, value: AnyFloats, tunings: tuple[_Tuning, ...], strength: float) -> None:
        self._value: Array = value.astype(np.float64)
        self._last = self._value  # as it came, not filtered
        self._tunings, self._strength = tunings, strength
        self._speed = self._trend = self._change(self._value, self._value)  # of the units a second
        self.lag = 0.0  # s, of motion that is slow for it, in the last step

    def distance(self, new: AnyFloats) -> float:
        """Return how far a new value is from the filtered one."""
        return float(np.linalg.norm(self._change(self._value, new.astype(np.float64))))

    @property
    def speed(self) -> float:
        """The speed that it sees."""
        return float(np.linalg.norm(self._speed))

    def step(self, new: AnyFloats, seconds: float, axis: Array | None = None) -> Array:
        """Return the filtered value, `seconds` after the last; `axis` is of length 1, for each of the rotations."""
        raw: Array = new.astype(np.float64)
        kept = [exp(-seconds / t.memory) if t.memory else 0.0 for t in self._tunings]
        trends = [keep * part for keep, part in zip(kept, _parts(self._trend, axis), strict=True)]
        expected = self._moved(self._value, seconds * _sum(trends))
        fresh, off, ahead = (_parts(self._change(old, raw), axis) for old in (self._last, self._value, expected))
        speeds = _parts(self._speed, axis)
        moves, looks = [], []
        for n, (tuning, keep) in enumerate(zip(self._tunings, kept, strict=True)):
            mean = tuning.mean * min(self._strength, 1.0, _MEAN_STEP / seconds)
            back = mean * fresh[n]  # from the raw value to the mean with the one before
            speeds[n] = speeds[n] + _gain(_SPEED_CUTOFF, seconds) * ((off[n] - back) / seconds - speeds[n])
            cutoff = (tuning.cutoff + tuning.slope * np.linalg.norm(speeds[n], axis=-1, keepdims=True)) / self._strength
            gain = _gain(cutoff, seconds)
            follow = 2 * (2 - gain) - 4 * np.sqrt(1 - gain)  # the steady Kalman filter's, for this gain
            moves.append(gain * (ahead[n] - back))
            trends[n] = trends[n] + follow * (ahead[n] - back) / seconds
            looks.append(keep * mean * seconds * trends[n])
            # How far the low-pass with its trend stays behind a steady motion, and the mean; less what it looks ahead.
            behind = (1 - gain) / (gain + keep * follow / (1 - keep))
            self.lag = seconds * float(np.max(behind) + mean - keep * mean)
        self._last, self._speed, self._trend = raw, _sum(speeds), _sum(trends)
        self._value = self._moved(expected, _sum(moves))
        return self._moved(self._value, _sum(looks))

    def _change(self, old: Array, new: Array) -> Array:
        """Return what takes the old value to the new one."""
        return new - old

    def _moved(self, value: Array, change: Array) -> Array:
        return value + change


class _Rotation(_Vector):
    """The filter of rotations (..., 3, 3): changes are rotation vectors (..., 3) in the frame that they turn into."""

    def __init__(self, value: AnyFloats, tunings: tuple[_Tuning, ...], strength: float) -> None:
        super().__init__(nearest_rotation(value), tunings, strength)
        self._before = self._given = self._value

    def step(self, new: AnyFloats, seconds: float, axis: Array | None = None) -> Array:
        self._before = self._given
        self._given = super().step(new, seconds, axis)
        return self._given

    def held_back(self, most: float) -> Array | None:
        """Return what `step` gave, turned by `most` radians since before; None if it is no more."""
        turn = self._change(self._before, self._given)
        angle = float(np.linalg.norm(turn))
        return self._moved(self._before, turn * (most / angle)) if angle > most else None

    def towards(self, new: AnyFloats, most: float) -> Array:
        """Return the value before `step`, turned towards a new one by `most` radians, or all the way if it is less."""
        turn = self._change(self._before, new.astype(np.float64))
        angle = float(np.linalg.norm(turn))
        return self._moved(self._before, turn * min(1.0, most / max(angle, 1e-12)))

    def settle(self, value: Array) -> None:
        """Go on from this value, without a trend."""
        self._value = self._given = value
        self._trend = np.zeros_like(self._trend)

    def let_go(self, new: AnyFloats, most: float) -> Array:
        """Return what `step` gave; rotations that are more than `most` radians from what came begin anew with that."""
        far = np.linalg.norm(self._change(self._given, new.astype(np.float64)), axis=-1) > most
        if far.any():
            self._value, self._given = (np.where(far[..., None, None], new, old) for old in (self._value, self._given))
            self._trend = np.where(far[..., None], 0.0, self._trend)
        return self._given

    def _change(self, old: Array, new: Array) -> Array:
        return log_so3(new @ np.swapaxes(old, -1, -2))

    def _moved(self, value: Array, change: Array) -> Array:
        return exp_so3(change) @ value


def _parts(change: Array, axis: Array | None) -> list[Array]:
    """Return a change's part along the axis and what is left of it, or without an axis the change alone."""
    if axis is None:
        return [change]
    along = (change * axis).sum(-1, keepdims=True) * axis
    return [along, change - along]


def _sum(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _gain(cutoff: Array | float, seconds: float) -> Array | float:
    """Return how far a first-order low-pass of this cutoff, Hz, goes towards a new value in this time: 0 to 1."""
    return 1 / (1 + 1 / (tau * cutoff * seconds))
