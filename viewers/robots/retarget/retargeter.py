"""A retargeter follows the hands of frame after frame with a robot's: joints, wrist, clutch, and what to do unseen."""

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Self

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import SIDES, Side
from stages.common.openxr_joints import has_bones
from stages.packets import FrameMeta, FrameResult, Hand
from viewers.robots.retarget.clutch import Clutch, ClutchKind
from viewers.robots.retarget.motion import LONGEST_STEP, JointMotion, PoseMotion, delay
from viewers.robots.retarget.robot_hands import Method, RobotHand, robot_hand
from viewers.robots.retarget.solver import Solver
from viewers.robots.retarget.wrist_frame import joints_in_wrist, wrist_pose

State = Literal["waiting", "following", "released", "holding", "relaxing"]
"""waiting: no hand has come yet. following. released: the clutch is open. holding: the hand is unseen, and the robot
stays. relaxing: it is unseen for longer, and the robot opens slowly."""
Unseen = Literal["hold", "relax"]

RELAX_AFTER: Final = 1.0
"""Seconds without the hand after which a robot that relaxes begins to."""
_RELAX_SPEED: Final = 0.1  # of the joints' speeds
_LEAST_QUALITY: Final = 0.2  # a hand that agrees less with its picture is not followed
_VISIBLE: Final = 0.5  # a fingertip as likely in sight as this is followed as a whole; less likely, by less


@dataclass(frozen=True)
class RetargetSettings:
    """How robots follow."""

    method: Method | None = None  # none: the robot hand's own
    smoothing: float = 0.03  # s, the time constant of a low pass
    speed: float = 1.0  # of the speeds in the robot's description
    wrist_speed: float = 1.0  # m/s
    wrist_turning: float = 3.0  # rad/s
    wrist_scale: float = 1.0  # metres that the robot's wrist moves for a metre of the person's
    unseen: Unseen = "hold"
    clutch: ClutchKind = "none"


class RobotHandState(NamedTuple):
    """One robot hand at one frame."""

    side: Side
    state: State
    track_id: int | None  # of the person's hand; none while there is none
    positions: Array  # (n,) rad
    velocities: Array  # (n,) rad/s
    held_back: bool  # whether limits of speed were reached
    delay: float  # s that smoothing adds
    wrist: Array | None  # (4, 4) the person's wrist in the reference frame; none while unseen
    target: Array  # (4, 4) where the robot's wrist is to be, in its own frame: the identity at first


class RobotFrame(NamedTuple):
    """All robot hands at one frame."""

    frame: FrameMeta
    reference: Literal["camera", "world"]  # the frame of `wrist`
    hands: tuple[RobotHandState, ...]


@dataclass
class _Arm:
    """How the robot's wrist follows: by as much as the person's has moved since it was taken up."""

    motion: PoseMotion
    person: Array | None = None  # T (4, 4) where the person's wrist was
    robot: Array = field(default_factory=lambda: np.eye(4))  # T (4, 4) where the robot's was then


class _Follower:
    """One side."""

    def __init__(self, hand: RobotHand, settings: RetargetSettings) -> None:
        self.solver = Solver(hand, settings.method)
        self.settings, self.side = settings, hand.side
        self.clutch = Clutch(settings.clutch)
        model = self.solver.model
        limits = model.limits()
        self.relaxed = model.coupled(np.clip(np.zeros(len(limits)), *limits.T))
        self.motion = JointMotion(limits, model.speeds() * settings.speed, settings.smoothing, self.relaxed)
        self.arm = _Arm(PoseMotion(np.eye(4), settings.smoothing, settings.wrist_speed, settings.wrist_turning))
        self.wanted = self.relaxed
        self.joints: Array | None = None  # the last that were followed, in the wrist's frame
        self.last: float | None = None  # s, of the last frame
        self.seen: float | None = None  # s, when the hand was
        self.home_wanted = False

    def step(self, hand: Hand | None, T_reference_camera: Array, now: float) -> RobotHandState:
        dt = 0.0 if self.last is None else min(max(now - self.last, 0.0), LONGEST_STEP)
        if self.last is not None and now < self.last:  # another publisher's clock, or a recording from its beginning
            self.seen = None if self.seen is None else min(self.seen, now)
        self.last = now
        followed = hand if hand is not None and _is_trusted(hand) else None
        engaged = self.clutch.see(None if followed is None else followed.joints.astype(np.float64), now)
        wrist = None
        if followed is not None:
            wrist = T_reference_camera @ wrist_pose(followed.joints, self.side)
            self.seen = now
        following = followed is not None and engaged
        if following and followed is not None:
            self.joints = self._joints(followed)
            self.wanted = self.solver.solve(self.joints)
        state = self._state(following, engaged, now)
        relaxing = state == "relaxing"
        moved = self.motion.step(self.relaxed if relaxing else self.wanted, dt, slower=_RELAX_SPEED if relaxing else 1)
        target, arm_held = self._move_arm(wrist if following else None, dt)
        return RobotHandState(
            self.side, state, None if hand is None else hand.track_id, moved.positions, moved.velocities,
            (moved.held_back or arm_held) and following, delay(dt, self.settings.smoothing), wrist, target,
        )  # fmt: skip

    def _state(self, following: bool, engaged: bool, now: float) -> State:
        if following:
            return "following"
        if self.seen is None:
            return "waiting"
        if not engaged:
            return "released"
        return "relaxing" if self.settings.unseen == "relax" and now - self.seen >= RELAX_AFTER else "holding"

    def _joints(self, hand: Hand) -> Array:
        """Return the joints to follow: of fingers that are hidden, partly what they were."""
        joints = joints_in_wrist(hand.joints, self.side)
        if hand.visibility is None or self.joints is None:
            return joints
        trust = np.ones(21)
        for tip in (4, 8, 12, 16, 20):
            trust[tip - 3 : tip + 1] = min(1.0, float(hand.visibility[tip]) / _VISIBLE)
        # The palm is the frame itself.
        return self.joints + trust[:, None] * (joints - self.joints)

    def _move_arm(self, wrist: Array | None, dt: float) -> tuple[Array, bool]:
        arm = self.arm
        if self.home_wanted:
            self.home_wanted, arm.person, arm.robot = False, None, np.eye(4)
            arm.motion.pose = np.eye(4)
        if wrist is None:
            arm.person = None  # when it is taken up again, it goes on from where the robot is
            return arm.motion.pose.copy(), False
        if arm.person is None:
            arm.person, arm.robot = wrist, arm.motion.pose.copy()
        wanted = np.eye(4)
        wanted[:3, 3] = arm.robot[:3, 3] + self.settings.wrist_scale * (wrist[:3, 3] - arm.person[:3, 3])
        wanted[:3, :3] = wrist[:3, :3] @ arm.person[:3, :3].T @ arm.robot[:3, :3]
        return arm.motion.step(wanted, dt)


class Retargeter:
    """Follows both sides, or those that robots are given for. Raises what `Solver` raises.

    Time is that of capture, so recorded and live hands come to the same.
    """

    def __init__(self, hands: tuple[RobotHand, ...], settings: RetargetSettings | None = None) -> None:
        self.settings = settings or RetargetSettings()
        self.hands = hands
        self._followers = {hand.side: _Follower(hand, self.settings) for hand in hands}
        self._followed: dict[Side, int] = {}
        self._reference: Literal["camera", "world"] | None = None

    @classmethod
    def of(cls, robot: str) -> Self:
        """Follow both sides with the hands that this name or file has; see `robot_hand`."""
        return cls((robot_hand(robot, "left"), robot_hand(robot, "right")))

    def names(self, side: Side) -> tuple[str, ...]:
        """Return the names of the joints of this side's robot hand."""
        return self._followers[side].solver.model.names

    def solver(self, side: Side) -> Solver:
        """Return what solves for this side."""
        return self._followers[side].solver

    def step(self, result: FrameResult, now: float | None = None) -> RobotFrame:
        """Follow the hands of this frame; `now` s is its time, by default that of its capture."""
        now = result.frame.captured_ns / 1e9 if now is None else now
        T, reference = _reference(result.frame)
        if reference != self._reference:
            self._reference = reference
            for each in self._followers.values():
                each.arm.person = None  # a wrist in one frame is nothing to compare one in another with
        states = tuple(
            follower.step(self._hand_of(result, side), T, now)
            for side in SIDES
            if (follower := self._followers.get(side)) is not None
        )
        return RobotFrame(result.frame, reference, states)

    def _hand_of(self, result: FrameResult, side: Side) -> Hand | None:
        """Return the hand of this side that is followed: the same as before if it is there, else the best seen."""
        hands = [hand for hand in result.hands if hand.side == side]
        if not hands:
            return None
        same = [hand for hand in hands if hand.track_id == self._followed.get(side)]
        chosen = same[0] if same else max(hands, key=lambda hand: (hand.seen, hand.quality or 0.0, -hand.track_id))
        self._followed[side] = chosen.track_id
        return chosen

    def toggle(self, side: Side | None = None) -> None:
        """Open or close the clutch of this side, or of both; both are then alike."""
        followers = [self._followers[side]] if side is not None else list(self._followers.values())
        engaged = not all(follower.clutch.engaged for follower in followers)
        for follower in followers:
            follower.clutch.engaged = engaged

    def realign(self) -> None:
        """Take the wrists' targets back to where they began; they go on from there."""
        for follower in self._followers.values():
            follower.home_wanted = True


def _is_trusted(hand: Hand) -> bool:
    return hand.seen and (hand.quality is None or hand.quality >= _LEAST_QUALITY) and has_bones(hand)


def _reference(frame: FrameMeta) -> tuple[Array, Literal["camera", "world"]]:
    """Return T_reference_camera, and what the reference is: the world where the frame knows where its camera is."""
    return (np.eye(4), "camera") if frame.world is None else (frame.world.T_world_camera, "world")
