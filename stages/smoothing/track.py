"""One hand over time, held back where it trembles.

What a camera sees well is held back little, and what it sees badly much. A hand's place in the picture is seen well,
its depth is not; a turn in the plane of the picture is seen well, a tilt out of it is not; that a finger bends is
motion, that it bends sideways or twists is mostly error. Each of these is filtered for itself: the hand's place and
depth are those of its joints' mean, and rotations turn the hand about that mean. Betas, which a hand cannot change, are
a running mean. The hand is then posed anew, so that parameters, joints and vertices stay one hand.
"""

from dataclasses import replace
from math import exp
from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats, Array
from hamba_core.hand import MIRROR, HandModel, Side, exp_so3, log_so3
from stages.common.posing import with_mesh
from stages.packets import FrameMeta, Hand
from stages.smoothing.filters import RotationFilter, Tuning, VectorFilter
from stages.smoothing.limits import JointLimits

_SHORTEST_STEP: Final = 1e-3  # s
_BETAS_MEMORY: Final = 2.0  # s, time constant of the betas' running mean
_PLACE: Final = Tuning(cutoff=1.0, slope=120.0)  # speed in tangents of the viewing angle a second
_DEPTH: Final = Tuning(cutoff=1.7, slope=0.6, mean=0.5, memory=0.32)  # speed as a share of the depth a second
# Speeds in radians a second.
_IN_PICTURE: Final = Tuning(cutoff=6.0, slope=20.0, mean=0.5, memory=0.05)  # the hand's turn about the line of sight
_TILT: Final = Tuning(cutoff=0.25, slope=6.0, mean=0.5)  # and about every axis across it
_FLEXION: Final = Tuning(cutoff=1.2, slope=8.0, mean=0.5, memory=0.05)  # a finger's joint about its own axis
_SIDEWAYS: Final = Tuning(cutoff=0.3, slope=5.0, mean=0.5)  # and about every other
_FASTEST_TURN: Final = 30.0  # radians/s; a wrist that turns faster was seen wrongly, now or before
_OFF: Final = 0.1  # of the hand's size in the picture: further off what came, a smoothed hand is not that hand
_HALVINGS: Final = 5  # of the way that a hand goes to what came
_NO_VERTICES: Final = np.zeros((0, 3), np.float32)
_BENT: Final = 0.3  # radians, by which a finger's joint may lag: what lies between poses farther apart may be no hand's
_JUMP: Final = 0.5  # of the hand's size in a frame; a track that jumps like that was on another hand


class SmoothedTrack:
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
        self._place = VectorFilter(place, (_PLACE,), self._strength)
        self._depth = VectorFilter(depth, (_DEPTH,), self._strength)
        self._orient = RotationFilter(hand.global_orient, (_IN_PICTURE, _TILT), self._strength)
        self._fingers = RotationFilter(hand.hand_pose, (_FLEXION, _SIDEWAYS), self._strength)

    def follow(self, hand: Hand, meta: FrameMeta, model: HandModel, limits: JointLimits) -> Hand:
        """Return the hand of the next frame, smoothed, its joints within the model's limits where they came so."""
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
        self._fingers.step(hand.hand_pose, step, model.flexion_axes)
        fingers = limits.held(self._fingers.taken_along(hand.hand_pose, _BENT), hand.hand_pose)
        rotations = np.concatenate([orient[None], fingers])
        slower = None if jumped else self._orient.held_back(_FASTEST_TURN * step)
        if slower is not None:
            held = np.concatenate([slower[None], fingers])
            if self._fits(held, middle, hand, model):
                self._orient.settle(slower)
                rotations = held
        posed = model.pose(rotations[0], rotations[1:], self._betas, np.zeros(3), hand.side)
        if not _lies_on(posed.joints + middle - posed.joints.mean(0), hand):
            # It moves as the filters did not expect, all of them together.
            begun = hand if jumped else self._turned_in_time(hand, _FASTEST_TURN * step, meta, model)
            along = None if jumped else self._taken_along(rotations, middle, begun, hand, model)
            if along is None:
                self._begin(begun)
                return with_mesh(begun, model)
            rotations, middle = along
            rotations = np.concatenate([rotations[:1], limits.held(rotations[1:], hand.hand_pose)])
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

    def _taken_along(
        self, rotations: Array, middle: Array, goal: Hand, hand: Hand, model: HandModel
    ) -> tuple[Array, Array] | None:
        """Return rotations and middle on their way to the goal's, just so far that the hand lies on what was seen.

        The filters go on from there, or None is returned if there is no such place.
        """
        turn = log_so3(_rotations(goal) @ np.swapaxes(rotations, -1, -2))
        here, there = (np.concatenate(_seen_from_camera(point)) for point in (middle, goal.joints.mean(0)))

        def between(share: float) -> tuple[Array, Array]:
            *place, depth = here + share * (there - here)
            return exp_so3(share * turn) @ rotations, np.array([*place, 1.0]) * np.exp(depth)

        least, most = 0.0, 1.0
        if not self._fits(*between(most), hand, model):
            return None
        for _ in range(_HALVINGS):
            half = (least + most) / 2
            least, most = (least, half) if self._fits(*between(half), hand, model) else (half, most)
        along, middle = between(most)
        place, depth = _seen_from_camera(middle)
        self._place.settle(place)
        self._depth.settle(depth)
        self._orient.settle(along[0])
        self._fingers.settle(along[1:])
        return along, middle

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


def _rotations(hand: Hand) -> Array:
    """Return a hand's 16 rotations (16, 3, 3), the wrist's first."""
    return np.concatenate([hand.global_orient[None], hand.hand_pose]).astype(np.float64)


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
