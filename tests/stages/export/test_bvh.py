"""A BVH file moves the recorded joints: to a small reader of its own, which does as animation tools do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.spatial.transform import Rotation

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES, JOINT_PARENTS, SIDES, HandModel, Side, load_generic_hand
from hamba_core.view import Intrinsics
from stages.export.formats.bvh import export_bvh
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection
from stages.packets import Hand
from tests.stages.export.conftest import presences

PoseHand = Callable[..., Hand]
MakeTake = Callable[..., Selection]

GENERIC = load_generic_hand()
CM_IN_FILE_FROM_CAMERA = 100 * np.diag([1.0, -1, -1])


class Bvh:
    """The joints of a file, end sites included, in the order in which they stand there."""

    def __init__(self, path: Path) -> None:
        hierarchy, _, motion = path.read_text().partition("MOTION\n")
        self.names: list[str] = []
        self.parents: list[int] = []
        self._offsets: list[Array] = []
        self._channels: list[list[str]] = []
        stack: list[int] = []
        for line in hierarchy.splitlines()[1:]:
            match line.split():
                case ["ROOT" | "JOINT", name]:
                    self._begin(name, stack)
                case ["End", "Site"]:
                    self._begin(f"{self.names[stack[-1]]} end", stack)
                case ["OFFSET", *numbers]:
                    self._offsets.append(np.array(numbers, float))
                case ["CHANNELS", count, *channels]:
                    assert int(count) == len(channels)
                    self._channels[-1] = channels
                case ["{"]:
                    stack.append(len(self.names) - 1)
                case ["}"]:
                    stack.pop()
        frames, time, *lines = motion.splitlines()
        self.frame_time = float(time.partition("Frame Time:")[2])
        self.values = np.array([line.split() for line in lines], float)
        assert len(self.values) == int(frames.partition("Frames:")[2])

    def _begin(self, name: str, stack: list[int]) -> None:
        self.names.append(name)
        self.parents.append(stack[-1] if stack else -1)
        self._channels.append([])

    def joints(self, frame: int) -> Array:
        """The 21 joints (21, 3): a tip is an end site or, where it has to move, a joint with an end of no length."""
        return self.places(frame)[[not name.endswith("_4 end") for name in self.names]]

    def places(self, frame: int) -> Array:
        """Where everything is (N, 3). Channels of position stand in the place of the offset."""
        values = iter(self.values[frame])
        worlds: list[tuple[Array, Array]] = []
        for parent, offset, channels in zip(self.parents, self._offsets, self._channels, strict=True):
            given = {channel: next(values) for channel in channels}
            place = np.array([given.get(f"{axis}position", rest) for axis, rest in zip("XYZ", offset, strict=True)])
            turns = [(channel[0], angle) for channel, angle in given.items() if channel.endswith("rotation")]
            turn = np.eye(3)
            for axis, angle in turns:
                turn = turn @ Rotation.from_euler(axis, angle, degrees=True).as_matrix()
            if parent >= 0:
                above, origin = worlds[parent]
                place, turn = origin + above @ place, above @ turn
            worlds.append((turn, place))
        return np.array([place for _, place in worlds])


def write(selection: Selection, folder: Path, **settings: Any) -> list[Bvh]:
    return [Bvh(path) for path in export_bvh(selection, folder, ExportSettings(**settings), lambda share: None)]


def joints_cm(hand: Hand) -> Any:
    return hand.joints @ CM_IN_FILE_FROM_CAMERA


@given(st.integers(0, 2**32), st.sampled_from(SIDES), presences, st.sampled_from([0.0, 0.02]))
@settings(max_examples=15)
def test_joints_are_the_recorded_ones_and_stay_while_the_hand_is_away(
    hand_model: HandModel,
    pose_hand: PoseHand,
    make_take: MakeTake,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    side: Side,
    presence: list[bool],
    drift: float,
) -> None:
    hands = [pose_hand(hand_model, seed + i, side, shape=0.5 + drift * i) for i in range(len(presence))]
    frames = [(hand,) if there else () for hand, there in zip(hands, presence, strict=True)]
    [bvh] = write(make_take(hand_model, frames), tmp_path_factory.mktemp("bvh"), one_shape=False)
    assert len(bvh.values) == len(frames)
    assert bvh.frame_time == pytest.approx(1 / 30)
    seen = hands[0]
    for index, there in enumerate(presence):
        seen = hands[index] if there else seen
        np.testing.assert_allclose(bvh.joints(index), joints_cm(seen), atol=5e-3)


def test_tips_are_end_sites_while_bones_keep_their_length_and_joints_where_they_change(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path
) -> None:
    for name, drift in (("steady", 0.0), ("drifting", 0.05)):
        hands = [(pose_hand(GENERIC, seed, shape=drift * seed),) for seed in range(3)]
        (tmp_path / name).mkdir()
        [bvh] = write(make_take(GENERIC, hands), tmp_path / name, one_shape=False)
        if drift:
            tips = [i for i, joint in enumerate(bvh.names) if joint.endswith("_4 end")]
            ends = bvh.places(2)[tips] - bvh.places(2)[[bvh.parents[i] for i in tips]]
            assert (np.linalg.norm(ends, axis=1) > 0.3).all(), "centimetres: tools show no bone without a length"
            assert [joint for joint in bvh.names if "end" not in joint] == list(JOINT_NAMES)
        else:
            assert [joint.replace("_3 end", "_4") for joint in bvh.names] == list(JOINT_NAMES)
            assert tuple(bvh.parents) == JOINT_PARENTS


def test_bones_keep_one_length_and_the_hand_its_place_in_the_picture(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path
) -> None:
    hands = [pose_hand(GENERIC, seed, shape=0.1 * seed) for seed in range(8)]
    [bvh] = write(make_take(GENERIC, [(hand,) for hand in hands]), tmp_path)
    assert [joint.replace("_3 end", "_4") for joint in bvh.names] == list(JOINT_NAMES), "no joints for tips"
    assert [len(channels) for channels in bvh._channels] == [6 if i == 0 else 0 if "end" in name else 3
                                                             for i, name in enumerate(bvh.names)]  # fmt: skip
    camera = Intrinsics.estimate(640, 480)
    lengths = []
    for index, hand in enumerate(hands):
        joints = bvh.joints(index) @ np.linalg.inv(CM_IN_FILE_FROM_CAMERA)
        lengths.append(np.linalg.norm(joints[1:] - joints[list(JOINT_PARENTS[1:])], axis=1))
        assert np.linalg.norm(camera.project(joints) - hand.joints_2d, axis=1).mean() < 2.5
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], (8, 20)), atol=1e-6)
    recorded = [np.linalg.norm(hand.joints[1:] - hand.joints[list(JOINT_PARENTS[1:])], axis=1) for hand in hands]
    assert np.ptp(recorded, axis=0).max() > 1e-3
    np.testing.assert_allclose(lengths[0], np.mean(recorded, 0), rtol=0.02)


def test_files_of_a_take_run_in_step(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path) -> None:
    late, early = pose_hand(GENERIC, 1, "left", 2), pose_hand(GENERIC, 2, "right", 1)
    frames = [(early,)] * 4 + [(early, late)] * 3 + [(), ()]
    first, second = write(make_take(GENERIC, frames), tmp_path)
    assert len(first.values) == len(second.values) == 9
    for index in (0, 3, 8):
        np.testing.assert_allclose(first.joints(index), joints_cm(early), atol=5e-3)
        np.testing.assert_allclose(second.joints(index), joints_cm(late), atol=5e-3)


def test_an_uneven_pace_is_kept_in_time_and_told(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hands = [pose_hand(GENERIC, seed) for seed in range(4)]
    pts = [0.0, 1 / 30, 4 / 30, 5 / 30]  # two frames were lost
    [bvh] = write(make_take(GENERIC, [(hand,) for hand in hands], pts=pts), tmp_path)
    assert len(bvh.values) == 6
    for index, hand in ((0, hands[0]), (1, hands[1]), (4, hands[2]), (5, hands[3])):
        np.testing.assert_allclose(bvh.joints(index), joints_cm(hand), atol=5e-3)
    assert "2 of 4 frames are repeated, 0 left out; --rate 30" in caplog.text


def test_a_steady_pace_is_not_worth_a_word(
    pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hands = [(pose_hand(GENERIC, 1),)] * 600
    write(make_take(GENERIC, hands, fps=29.97), tmp_path)
    assert not caplog.records


def test_angles_do_not_jump(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path) -> None:
    hand, turning = pose_hand(GENERIC, 1), []
    for index in range(300):
        turn = Rotation.from_euler("y", 5 * index, degrees=True).as_matrix().astype(np.float32)
        joints = (hand.joints - hand.joints[0]) @ turn.T + hand.joints[0]
        turning.append((replace(hand, global_orient=turn @ hand.global_orient, joints=joints),))
    [bvh] = write(make_take(GENERIC, turning), tmp_path)
    assert np.abs(np.diff(bvh.values[:, 3:6], axis=0)).max() < 60
