"""The hands move by a choreography of acts, of any length, which is the same for the same seed.

Each hand is moved as a right hand in its own *mirror frame*: the camera frame for a right hand, the camera frame
with x flipped for a left one. So both hands share every path, and the rotations are at once the MANO parameters of
this project, where a left hand has those of the mirrored right hand (`docs/conventions.md`).

A hand hangs on a forearm whose elbow stays below the picture. What is keyed: where the wrist is, how far the forearm
is turned about itself (0 shows the palm, 180 degrees the back), how far the wrist is tilted, and the fingers' gesture.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from scipy.spatial.transform import Rotation

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES, MIRROR, HandModel, Side
from hamba_core.view import Intrinsics
from stages.synthetic.motion.gestures import hand_pose, make_gestures
from stages.synthetic.settings import Acts

View = Literal["facing", "first_person"]
"""Whose hands they are: those of somebody before the camera, or of who wears it."""

CYCLE = 10.0
"""Seconds in which every act is shown once; then they are drawn anew."""

STAGE = (0.56, 0.42)
"""Width and height in metres that the picture shows at the hands' distance, at least."""

HOME = (0.13, 0.1, 0.0)
"""The wrist at rest, metres from the middle of the stage, outwards, down and away."""

REACH = 0.22
"""From the wrist to beyond the longest fingertip, metres."""

MIDDLE_KNUCKLE, INDEX_KNUCKLE, LITTLE_KNUCKLE = (JOINT_NAMES.index(f"{f}_1") for f in ("middle", "index", "little"))


@dataclass(frozen=True, eq=False)
class HandState:
    """One hand at one moment."""

    side: Side
    global_orient: Array  # (3, 3), mirror frame
    hand_pose: Array  # (15, 3, 3)
    betas: Array  # (10,)
    translation: Array  # (3,) m, camera frame
    wrist: Array  # (3,) m, camera frame
    forearm: Array  # (3,) unit, camera frame, from the wrist to the elbow


def palm_basis(joints: Array) -> Array:
    """Return a right hand's basis, as columns, from joints (21, 3): towards thumb's side, fingers, out of the palm."""
    fingers = joints[MIDDLE_KNUCKLE] - joints[0]
    fingers = fingers / np.linalg.norm(fingers)
    across = joints[INDEX_KNUCKLE] - joints[LITTLE_KNUCKLE]
    thumb = across - (across @ fingers) * fingers
    thumb /= np.linalg.norm(thumb)
    return np.stack([thumb, fingers, np.cross(thumb, fingers)], 1)


def ease(x: float) -> float:
    """Go from 0 to 1 with neither speed nor acceleration at the ends, as human reaching does.

    It is the minimum-jerk profile (Flash and Hogan, "The coordination of arm movements", J. Neuroscience 1985).
    """
    x = min(max(x, 0.0), 1.0)
    return x * x * x * (10 + x * (6 * x - 15))


class Track:
    """The keys of one channel; between two of them the value passes smoothly."""

    def __init__(self, start: Array) -> None:
        self._times, self._values = [0.0], [start]

    def add(self, time: float, value: Array) -> None:
        """Add a key: reach `value` at `time`, which is not before the last key's."""
        self._times.append(time)
        self._values.append(value)

    def at(self, time: float) -> Array:
        """Return the value at a time."""
        i = int(np.searchsorted(self._times, time, "right"))
        if i == len(self._times):
            return self._values[-1]
        before, after = self._times[i - 1], self._times[i]
        share = ease((time - before) / (after - before))
        return self._values[i - 1] + share * (self._values[i] - self._values[i - 1])


Offset = tuple[float, float, float]


@dataclass(frozen=True)
class Key:
    """What a hand reaches at a time, seconds from its act's start; channels that are None stay free."""

    time: float
    place: Offset | None = None  # m from home: outwards, down, away
    lane: Offset | None = None  # added to the place, in its own time
    turn: float | None = None  # degrees
    tilt: float | None = None  # degrees, positive towards the thumb
    fingers: str | None = None  # a gesture


HERE: Offset = (0.0, 0.0, 0.0)


def _count() -> list[Key]:
    keys = [Key(0, fingers="open")]
    for i, name in enumerate(("one", "two", "three", "four", "open")):
        keys += [Key(0.45 * i + 0.3, fingers=name), Key(0.45 * i + 0.45, fingers=name)]
    return keys


def _wave() -> list[Key]:
    swings = (0, 17, -15, 17, -15, 0)
    return [Key(0, fingers="open"), *(Key(0.27 * i, tilt=angle) for i, angle in enumerate(swings)), Key(1.4)]


def _hold(gesture: str, seconds: float, turn: float = 0) -> list[Key]:
    start, end = Key(0, turn=0, fingers="open"), Key(seconds, turn=0, fingers="open")
    return [start, *(Key(t, turn=turn, fingers=gesture) for t in (0.45, seconds - 0.45)), end]


def _show(gesture: str, rng: np.random.Generator) -> list[Key]:
    """Show a gesture for a while, from a direction and at a pace that are drawn."""
    turn, rise, hold = rng.uniform(-35, 35), rng.uniform(0.15, 0.35), rng.uniform(0.3, 0.5)
    tilt = rng.uniform(-55, -35) if gesture == "thumbs_up" else rng.uniform(-12, 12)
    start, end = Key(0, turn=0, tilt=0, fingers="open"), Key(2 * rise + hold, turn=0, tilt=0, fingers="open")
    return [start, *(Key(t, turn=turn, tilt=tilt, fingers=gesture) for t in (rise, rise + hold)), end]


SHOWN: Final = ("pinch", "almost_pinch", "fist", "one", "thumbs_up", "two", "relaxed", "pinch")
"""Gestures that are shown by themselves."""


def _point() -> list[Key]:
    return [
        Key(0, place=HERE, tilt=0, fingers="open"),
        Key(0.4, place=HERE, tilt=0, fingers="one"),
        Key(0.65, place=(0.02, -0.02, 0), tilt=-10),
        Key(0.95, place=(-0.02, -0.02, 0), tilt=12),
        Key(1.2, place=HERE, tilt=0, fingers="one"),
        Key(1.6, fingers="open"),
    ]


def _rotate() -> list[Key]:
    return [Key(0, turn=0, fingers="open"), Key(0.85, turn=170), Key(1.15, turn=170), Key(2.0, turn=0, fingers="open")]


SOLOS: Mapping[str, Callable[[], list[Key]]] = {
    "count": _count,
    "wave": _wave,
    "fist": lambda: _hold("fist", 1.6),
    "pinch": lambda: _hold("pinch", 1.8, turn=-20),
    "point": _point,
    "rotate": _rotate,
}
"""Acts of one hand, each from home to home."""


def _cross(high: bool) -> list[Key]:
    """Move the hands to each other's place and back: one passes high and far, the other low and near."""
    lane = (0.0, -0.065, 0.055) if high else (0.0, 0.045, -0.055)
    other = (-1.75 * HOME[0], 0.0, 0.0)
    return [
        Key(0, place=HERE, lane=HERE, fingers="open"),
        Key(0.15, place=HERE),
        Key(0.5, lane=lane),
        Key(1.0, place=other),
        Key(1.2, place=other),
        Key(1.65, lane=lane),
        Key(2.0, place=HERE),
        Key(2.15, place=HERE, lane=HERE),
    ]


def _leave(drop: float) -> list[Key]:
    away = (0.0, drop, 0.0)
    return [
        Key(0, place=HERE, fingers="open"),
        Key(0.9, place=away, fingers="relaxed"),
        Key(1.2, place=away, fingers="relaxed"),
        Key(2.1, place=HERE, fingers="open"),
    ]


def stage_distance(camera: Intrinsics, size: tuple[int, int]) -> float:
    """Return metres from the camera to the stage's middle, such that the stage fits a picture of (width, height)."""
    return max(STAGE[0] * camera.fx / size[0], STAGE[1] * camera.fy / size[1])


class Choreography:
    """The hands' states at any time."""

    def __init__(
        self, model: HandModel, seed: int, sides: tuple[Side, ...], camera: Intrinsics, size: tuple[int, int],
        view: View, betas: Array, acts: Acts = "all",
    ) -> None:  # fmt: skip
        """Take the picture's `size` (width, height) and `betas` (hands, 10)."""
        self._acts = acts
        self._model, self._seed, self._sides, self._betas = model, seed, sides, betas
        self.distance = stage_distance(camera, size)
        self._drop = size[1] / 2 / camera.fy * self.distance - HOME[1] + REACH
        self._outwards = -1 if view == "facing" else 1  # in the mirror frame; a facing right hand is at the left
        self._gestures = [make_gestures(model, b) for b in betas]
        self._R_rest = palm_basis(model.rest_joints_21(np.zeros(10)))
        self._tracks = lru_cache(maxsize=2)(self._make_tracks)
        rng = np.random.default_rng([seed, 7])
        self._sway = rng.uniform(0, 2 * np.pi, (len(sides), 7, 2)), rng.uniform(0.25, 0.8, (len(sides), 7, 2))

    def _make_tracks(self, cycle: int) -> list[dict[str, Track]]:
        """Return the channels of each hand through one cycle."""
        rng = np.random.default_rng([self._seed, 11, cycle])
        tracks = [self._empty_tracks(gestures) for gestures in self._gestures]
        if self._acts == "gestures":
            for hand, gestures in zip(tracks, self._gestures, strict=True):
                time = 0.1
                for name in rng.permutation(SHOWN):
                    time = self._add(hand, gestures, time, _show(name, rng)) + 0.05
            return tracks
        busy, calm = rng.permutation(2)
        before = {busy: ["count", "wave"], calm: ["fist", "pinch"]}
        after = {busy: ["rotate", "pinch"], calm: ["point", "leave"]}
        for i, (hand, gestures) in enumerate(zip(tracks, self._gestures, strict=True)):
            for start, names in ((0.1, before[i]), (6.0, after[i])):
                time = start
                for name in rng.permutation(names):
                    act = _leave(self._drop) if name == "leave" else SOLOS[name]()
                    time = self._add(hand, gestures, time, act) + 0.05
                if start < 1:
                    self._add(hand, gestures, 3.85, _cross(high=bool(i == busy)))
        return tracks

    @staticmethod
    def _empty_tracks(gestures: dict[str, Array]) -> dict[str, Track]:
        zero = np.zeros(1)
        return {"place": Track(np.zeros(3)), "lane": Track(np.zeros(3)), "turn": Track(zero), "tilt": Track(zero),
                "fingers": Track(gestures["open"])}  # fmt: skip

    @staticmethod
    def _add(hand: dict[str, Track], gestures: dict[str, Array], start: float, keys: list[Key]) -> float:
        """Put an act on a hand's tracks, and return the time when it is over."""
        for key in keys:
            time = start + key.time
            for name, offset in (("place", key.place), ("lane", key.lane)):
                if offset is not None:
                    hand[name].add(time, np.array(offset))
            for name, angle in (("turn", key.turn), ("tilt", key.tilt)):
                if angle is not None:
                    hand[name].add(time, np.radians([angle]))
            if key.fingers is not None:
                hand["fingers"].add(time, gestures[key.fingers])
        return start + keys[-1].time

    def states(self, time: float) -> tuple[HandState, ...]:
        """Return the state of every hand at `time` seconds."""
        cycle, within = divmod(time, CYCLE)
        return tuple(self._state(i, hand, time, within) for i, hand in enumerate(self._tracks(int(cycle))))

    def gestures_at(self, time: float) -> list[dict[str, float]]:
        """Return how far, rad, root of the mean square, each hand's fingers are from each gesture at `time` seconds."""
        cycle, within = divmod(time, CYCLE)
        return [
            {
                name: float(np.sqrt(((hand["fingers"].at(within) - angles) ** 2).mean()))
                for name, angles in gestures.items()
            }
            for hand, gestures in zip(self._tracks(int(cycle)), self._gestures, strict=True)
        ]

    def _state(self, i: int, hand: dict[str, Track], time: float, within: float) -> HandState:
        phase, rate = self._sway[0][i], self._sway[1][i]
        sway = np.sin(phase + 2 * np.pi * rate * time).mean(1)  # (7,): nobody holds still
        offset = hand["place"].at(within) + hand["lane"].at(within)
        place = (np.array(HOME) + offset) * (self._outwards, 1, 1)
        wrist = place + 0.006 * sway[:3] + (0, 0, self.distance)
        # The elbow follows the wrist in part, as shoulders allow; a person who faces the camera has it behind the hand.
        far = 0.09 if self._outwards < 0 else -0.06
        rest = np.array([self._outwards * 0.17, HOME[1] + 0.26, far])
        elbow = rest + (place - np.array(HOME) * (self._outwards, 1, 1)) * (0.45, 0.8, 0.8) + (0, 0, self.distance)
        along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
        turn, tilt = (float(hand[channel].at(within)[0]) for channel in ("turn", "tilt"))
        R = self._orientation(along, wrist, turn + 0.04 * sway[3], 0.03 * sway[4], tilt + 0.03 * sway[5])
        fingers = hand["fingers"].at(within).copy()
        fingers[:, 0] += 0.03 * sway[6]
        side = self._sides[i]
        to_camera = MIRROR if side == "left" else np.eye(3)
        rest_wrist = self._model.rest_joints(self._betas[i])[0]
        return HandState(
            side=side, global_orient=R, hand_pose=hand_pose(self._model, fingers), betas=self._betas[i],
            translation=to_camera @ (wrist - rest_wrist) if side == "left" else wrist - rest_wrist,
            wrist=to_camera @ wrist, forearm=to_camera @ -along,
        )  # fmt: skip

    def _orientation(self, along: Array, wrist: Array, turn: float, bend: float, tilt: float) -> Array:
        """Return the rest hand's rotation (3, 3): along the forearm, palm to the camera, then turned, bent, tilted."""
        to_camera = -wrist / np.linalg.norm(wrist)
        palm = to_camera - (to_camera @ along) * along
        palm /= np.linalg.norm(palm)
        basis = np.stack([np.cross(along, palm), along, palm], 1)
        # The forearm turns through the position where the palms face each other.
        wrist_turn = Rotation.from_euler("YXZ", [-self._outwards * turn, bend, -tilt])
        return np.asarray(basis @ wrist_turn.as_matrix() @ self._R_rest.T)
