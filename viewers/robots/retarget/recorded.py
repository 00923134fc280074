"""A recording's hands, retargeted: every frame in order, at its source's times, into arrays, tables and numbers."""

import csv
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import OutputError
from hamba_core.hand import SIDES, Side
from stages.common.files import write_whole
from stages.packets import FrameResult
from viewers.robots.retarget.measuring import Following, best_reachable, tip_errors
from viewers.robots.retarget.messages import pose_of
from viewers.robots.retarget.retargeter import Retargeter, RobotHandState, State
from viewers.robots.retarget.wrist_frame import joints_in_wrist

STATES: Final[tuple[State, ...]] = ("waiting", "following", "released", "holding", "relaxing")
"""What the numbers in `state` of an .npz file stand for."""

_NO_POSE: Final = np.full((4, 4), np.nan)
_POSE_COLUMNS: Final = ("x", "y", "z", "qx", "qy", "qz", "qw")


@dataclass
class SideRecord:
    """One side, all along a recording."""

    side: Side
    names: tuple[str, ...]
    states: list[RobotHandState] = field(default_factory=list)
    human: list[Array | None] = field(default_factory=list)  # joints (21, 3) m in the wrist's frame, where followed


@dataclass
class Retargeted:
    """A recording's robot hands."""

    robot: str
    frames: list[int]
    pts: list[float]  # s
    reference: list[str]
    sides: dict[Side, SideRecord]
    step_ms: list[float]  # of the processor, of all sides together, in frames in which something was followed


def retarget_all(
    results: Iterable[FrameResult], retargeter: Retargeter, robot: str, on_frame: Callable[[int], None] = lambda n: None
) -> Retargeted:
    """Follow every frame of a recording."""
    sides = {hand.side: SideRecord(hand.side, retargeter.names(hand.side)) for hand in retargeter.hands}
    done = Retargeted(robot, [], [], [], sides, [])
    for result in results:
        begin = time.thread_time()
        frame = retargeter.step(result, result.frame.pts)
        if any(state.state == "following" for state in frame.hands):
            done.step_ms.append((time.thread_time() - begin) * 1e3)
        done.frames.append(result.frame.index)
        done.pts.append(result.frame.pts)
        done.reference.append(frame.reference)
        for state in frame.hands:
            record = sides[state.side]
            record.states.append(state)
            joints = [hand.joints for hand in result.hands if hand.track_id == state.track_id]
            follows = state.state == "following" and bool(joints)
            record.human.append(joints_in_wrist(joints[0], state.side) if follows else None)
        on_frame(len(done.frames))
    return done


def measured(done: Retargeted, retargeter: Retargeter, side: Side, every: int = 0) -> Following | None:
    """Return how well this side followed, None where it never did.

    With `every`, the best that can be reached is looked for in each so many frames that were followed.
    """
    record, solver = done.sides[side], retargeter.solver(side)
    hand, model = solver.hand, solver.model
    followed = [place for place, joints in enumerate(record.human) if joints is not None]
    if not followed:
        return None
    positions = np.array([state.positions for state in record.states])
    solver.reset()
    solved, wanted = dict[int, Array](), dict[int, Array]()
    errors, solved_errors = list[float](), dict[int, float]()
    for place in followed:
        joints = record.human[place]
        if joints is not None:
            solved[place], wanted[place] = model.coupled(solver.solve(joints)), solver.fingertip_targets(joints)
            errors.append(float(tip_errors(hand, model, wanted[place], positions[place]).mean()))
            solved_errors[place] = float(tip_errors(hand, model, wanted[place], solved[place]).mean())
    looked_at = followed[::every] if every > 0 else []
    best = []
    middle = model.limits().mean(1)
    for place in looked_at:
        starts = [solved[place], middle, model.limits() @ [0.75, 0.25], model.limits() @ [0.25, 0.75]]
        found = best_reachable(hand, model, wanted[place], starts)
        best.append(min(float(tip_errors(hand, model, wanted[place], found).mean()), solved_errors[place]))
    accelerations, shares = _motion(done, record, positions, model.speeds())
    nan = float("nan")
    return Following(
        frames=len(followed),
        error=1e3 * float(np.mean(errors)),
        solved=1e3 * float(np.mean(list(solved_errors.values()))),
        reachable=1e3 * float(np.mean(best)) if best else nan,
        solved_there=1e3 * float(np.mean([solved_errors[place] for place in looked_at])) if looked_at else nan,
        jerkiness=float(np.sqrt(np.mean(accelerations**2))) if accelerations.size else nan,
        fastest=float(shares.max()) if shares.size else nan,
        step_ms=float(np.median(done.step_ms)),
        slow_step_ms=float(np.percentile(done.step_ms, 95)),
    )


def _motion(done: Retargeted, record: SideRecord, positions: Array, speeds: Array) -> tuple[Array, Array]:
    """Return accelerations (N, n) and shares (N, n) of the limits of speed, where it followed without a break."""
    pts = np.array(done.pts)
    there = np.array([joints is not None for joints in record.human])
    whole = there[2:] & there[1:-1] & there[:-2]
    steps = np.diff(pts)
    velocities = np.diff(positions, axis=0) / np.maximum(steps, 1e-6)[:, None]
    accelerations = np.diff(velocities, axis=0) / np.maximum((steps[1:] + steps[:-1]) / 2, 1e-6)[:, None]
    return accelerations[whole], np.abs(velocities[1:][whole]) / speeds


def write_npz(done: Retargeted, path: Path) -> None:
    """Write one .npz: what both sides share, and `<side>/...`. Raises OutputError."""
    arrays: dict[str, Any] = {
        "robot": np.array(done.robot),
        "frames": np.array(done.frames, np.int64),
        "pts": np.array(done.pts),
        "reference": np.array(done.reference),
        "states": np.array(STATES),
    }
    for side, record in done.sides.items():
        states, count = record.states, len(record.names)
        arrays |= {
            f"{side}/names": np.array(record.names),
            f"{side}/positions": np.array([state.positions for state in states]).reshape(-1, count),
            f"{side}/velocities": np.array([state.velocities for state in states]).reshape(-1, count),
            f"{side}/state": np.array([STATES.index(state.state) for state in states], np.uint8),
            f"{side}/track": np.array([-1 if s.track_id is None else s.track_id for s in states], np.int64),
            f"{side}/held_back": np.array([state.held_back for state in states], np.bool_),
            f"{side}/delay": np.array([state.delay for state in states]),
            f"{side}/wrist": np.array([_NO_POSE if s.wrist is None else s.wrist for s in states]).reshape(-1, 4, 4),
            f"{side}/target": np.array([state.target for state in states]).reshape(-1, 4, 4),
        }
    content = BytesIO()
    np.savez(content, **arrays)
    write_whole(path, content.getvalue())


def write_csv(done: Retargeted, side: Side, path: Path) -> None:
    """Write a table of one side: a line a frame, with the joints by name. Raises OutputError."""
    record = done.sides[side]
    poses = [f"{pose}_{column}" for pose in ("wrist", "target") for column in _POSE_COLUMNS]
    content = StringIO(newline="")
    table = csv.writer(content)
    table.writerow(["frame", "pts", "state", "track", *record.names, *poses, "reference", "held_back", "delay"])
    for frame, pts, reference, state in zip(done.frames, done.pts, done.reference, record.states, strict=True):
        wrist = [""] * 7 if state.wrist is None else _numbers(state.wrist)
        table.writerow(
            [
                frame, f"{pts:.6f}", state.state, "" if state.track_id is None else state.track_id,
                *(f"{position:.6f}" for position in state.positions.tolist()), *wrist, *_numbers(state.target),
                reference, int(state.held_back), f"{state.delay:.6f}",
            ]
        )  # fmt: skip
    write_whole(path, content.getvalue().encode())


def _numbers(T: Array) -> list[str]:
    pose = pose_of(T)
    return [f"{number:.6f}" for number in (*pose.position, *pose.orientation)]


def targets_of(folder: Path, stem: str, robot: str, sides: Iterable[Side], *, overwrite: bool) -> dict[str, Path]:
    """Return the files to write, by what they are. Raises OutputError where one is there and is not to be replaced."""
    files = {"npz": folder / f"{stem}.{robot}.npz"}
    files |= {side: folder / f"{stem}.{robot}-{side}.csv" for side in SIDES if side in sides}
    for path in files.values():
        if path.exists() and not overwrite:
            raise OutputError(
                f"{path}: expected no such file yet, found one, and it is not overwritten; "
                "name another folder with --out, or say --overwrite"
            )
    return files
