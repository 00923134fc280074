"""Events over time: a clock of frames, poses in them, and what is told."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from hypothesis import given, strategies as st

from hamba_core.hand import load_generic_hand
from hamba_core.view import Intrinsics
from stages.events import Events, EventSettings
from stages.packets import FrameMeta, FrameResult, Hand, HandEvent
from stages.synthetic.motion.gestures import hand_pose, make_gestures

MODEL = load_generic_hand()
CAMERA = Intrinsics(600, 600, 320, 240)
RATE = 30.0


@cache
def _posed(gesture: str) -> Hand:
    pose = hand_pose(MODEL, make_gestures(MODEL, np.zeros(10))[gesture])
    posed = MODEL.pose(np.eye(3), pose, np.zeros(10), np.array([0, 0, 0.6]))
    arrays = (np.zeros(4), np.eye(3), pose, np.zeros(10), np.array([0, 0, 0.6]), posed.joints,
              CAMERA.project(posed.joints), np.zeros((0, 3)))  # fmt: skip
    return Hand(1, "right", 1.0, *(array.astype(np.float32) for array in arrays))  # type: ignore[arg-type]


def _told(poses: Sequence[str | Hand | None], settings: EventSettings | None = None) -> list[tuple[HandEvent, ...]]:
    """The events of each frame; none stands for a frame without the hand."""
    stage, told = Events(settings), []
    for index, pose in enumerate(poses):
        meta = FrameMeta("hands", index, index / RATE, index, 640, 480, CAMERA)
        hands = () if pose is None else (_posed(pose) if isinstance(pose, str) else pose,)
        told.append(stage.process(FrameResult(meta, hands)).events)
    return told


def _phases(told: Sequence[tuple[HandEvent, ...]], kind: str) -> str:
    """A letter a frame: s, h, e, or a dot where nothing of this kind is told."""
    letters = []
    for events in told:
        mine = [event.phase[0] for event in events if event.kind == kind]
        assert len(mine) <= 1
        letters += mine or ["."]
    return "".join(letters)


def test_a_pinch_starts_once_holds_and_ends_once() -> None:
    told = _told(["two"] * 5 + ["pinch"] * 6 + ["two"] * 6)
    assert _phases(told, "pinch") == "......." + "s" + "hhhhhh" + "e" + ".."
    start, *holds, end = [event for events in told for event in events if event.kind == "pinch"]
    assert start.held == 0
    assert start.confidence > 0.85
    assert [round(event.held * RATE) for event in (*holds, end)] == [1, 2, 3, 4, 5, 6, 7]
    assert (start.track_id, start.side) == (1, "right")


def test_a_flicker_starts_nothing_and_a_slip_ends_nothing() -> None:
    assert "s" not in _phases(_told(["two"] * 4 + ["pinch"] * 1 + ["two"] * 4), "pinch")
    held = _phases(_told(["pinch"] * 6 + ["two"] * 2 + ["pinch"] * 4), "pinch")
    assert held.count("s") == 1
    assert "e" not in held


def test_confirming_for_no_time_tells_it_in_the_first_frame() -> None:
    told = _told(["fist", "two"], EventSettings(confirm=0, release=0))
    assert _phases(told, "grab") == "se"


def test_hidden_joints_take_longer_to_convince_and_are_less_certain() -> None:
    hidden = replace(_posed("pinch"), visibility=np.full(21, 0.3, np.float32))
    seen = replace(_posed("pinch"), visibility=np.ones(21, np.float32))
    slow, quick = _told([hidden] * 12), _told([seen] * 12)
    assert _phases(slow, "pinch").index("s") > _phases(quick, "pinch").index("s")
    late, early = (next(e for events in told for e in events if e.kind == "pinch") for told in (slow, quick))
    assert late.confidence < early.confidence


def test_an_extrapolated_hand_starts_and_ends_nothing() -> None:
    unseen = replace(_posed("fist"), seen=False)
    assert set(_phases(_told([unseen] * 10), "grab")) == {"."}
    held = _phases(_told(["fist"] * 5 + [replace(_posed("two"), seen=False)] * 10), "grab")
    assert held.endswith("h" * 10)


def test_a_hand_that_has_gone_ends_what_it_did_after_the_release_time() -> None:
    told = _told(["fist"] * 5 + [None] * 6)
    letters = _phases(told, "grab")
    assert letters.count("e") == 1
    assert letters.index("e") - 4 >= 3, "0.1 s after the last frame that it was in"
    assert told[letters.index("e")][0].confidence == 0


def test_one_that_is_away_for_two_frames_goes_on() -> None:
    letters = _phases(_told(["fist"] * 5 + [None] * 2 + ["fist"] * 3), "grab")
    assert letters.count("s") == 1
    assert "e" not in letters


def test_disabled_it_leaves_results_as_they_are() -> None:
    stage = Events(EventSettings(enabled=False))
    result = FrameResult(FrameMeta("hands", 0, 0.0, 0, 640, 480, CAMERA), (_posed("fist"),))
    assert stage.process(result) is result
    assert stage.choices()[0].chosen == "off"


def test_the_report_counts_starts() -> None:
    stage = Events()
    for index, pose in enumerate(["fist"] * 5 + ["two"] * 6 + ["fist"] * 5):
        meta = FrameMeta("hands", index, index / RATE, index, 640, 480, CAMERA)
        stage.process(FrameResult(meta, (_posed(pose),)))
    assert stage.choices()[0].chosen == "2 grab"


@given(st.lists(st.sampled_from(["pinch", "fist", "one", "open", "two", "almost_pinch", None]), max_size=40))
def test_whatever_hands_do_starts_holds_and_ends_come_in_order(poses: list[str | None]) -> None:
    told = _told([pose for pose in poses for _ in range(2)])
    for kind in ("pinch", "grab", "point", "open", "thumbs_up"):
        on, held = False, -1.0
        for events in told:
            for event in (event for event in events if event.kind == kind):
                assert (event.phase == "start") != on
                assert event.phase == "start" or event.held > held
                on, held = event.phase != "end", event.held
