"""What a robot can follow: positions within limits, no faster than its joints turn, smoothed by as much as is asked.

Smoothing is a low pass of first order, y' = (x - y) / tau. What moves steadily comes out late by the delay that is
told, tau or a little less at a finite rate; it is added to the age of what is published. A limit of speed that holds
something back is told too, since then the delay grows.
"""

from dataclasses import dataclass
from math import exp
from typing import NamedTuple

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import exp_so3, log_so3

LONGEST_STEP = 0.1
"""Seconds: no step in time counts as longer, so that nothing jumps after a pause."""


def gain(dt: float, tau: float) -> float:
    """Return how far a low pass of time constant `tau` s goes towards its input in `dt` s, 0 to 1."""
    return 1.0 if tau <= 0 else 1.0 - exp(-dt / tau)


def delay(dt: float, tau: float) -> float:
    """Return by how many seconds a steady motion comes out late at steps of `dt` s."""
    share = gain(dt, tau)
    return dt * (1.0 - share) / share if share > 0 else tau


class Step(NamedTuple):
    """Where joints go next."""

    positions: Array  # (n,)
    velocities: Array  # (n,) a second
    held_back: bool  # whether limits of speed did


class JointMotion:
    """Takes joints from where they are to where they are wanted. Starts where `start` says."""

    def __init__(self, limits: Array, speeds: Array, tau: float, start: Array) -> None:
        self._lower, self._upper = limits.T
        self._speeds, self._tau = speeds, tau
        self.positions = np.clip(start, self._lower, self._upper)

    def step(self, wanted: Array, dt: float, *, slower: float = 1.0) -> Step:
        """Go on for `dt` s; with `slower` below 1, at most at that share of the joints' speeds."""
        dt = min(max(dt, 0.0), LONGEST_STEP)
        goal = self.positions + gain(dt, self._tau) * (np.clip(wanted, self._lower, self._upper) - self.positions)
        furthest = self._speeds * slower * dt
        way = goal - self.positions
        held = np.clip(way, -furthest, furthest)
        self.positions = np.clip(self.positions + held, self._lower, self._upper)
        velocities = held / dt if dt > 0 else np.zeros_like(held)
        return Step(self.positions.copy(), velocities, bool((np.abs(way) > furthest + 1e-9).any()))


@dataclass
class PoseMotion:
    """Takes a pose (4, 4) towards another in the same way."""

    pose: Array
    tau: float
    speed: float  # m/s
    turning: float  # rad/s

    def step(self, wanted: Array, dt: float) -> tuple[Array, bool]:
        """Go on for `dt` s and return the pose, and whether limits of speed held it back."""
        dt = min(max(dt, 0.0), LONGEST_STEP)
        share = gain(dt, self.tau)
        way = share * (wanted[:3, 3] - self.pose[:3, 3])
        turn = share * log_so3(wanted[:3, :3] @ self.pose[:3, :3].T)
        held_way, held_turn = _shortened(way, self.speed * dt), _shortened(turn, self.turning * dt)
        pose = np.eye(4)
        pose[:3, 3] = self.pose[:3, 3] + held_way
        pose[:3, :3] = exp_so3(held_turn) @ self.pose[:3, :3]
        self.pose = pose
        return pose.copy(), held_way is not way or held_turn is not turn


def _shortened(vector: Array, longest: float) -> Array:
    length = float(np.linalg.norm(vector))
    return vector if length <= longest + 1e-9 else vector * (longest / length)
