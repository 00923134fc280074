"""Ids and sides stay with their hands through noise, gaps, crossings and wrong detections, at any frame rate."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.arrays import Array
from hamba_core.hand import SIDES
from stages.common.proximity import hand_size, tight_box
from stages.packets import HandBox
from stages.tracking import HandTracking, TrackingSettings
from tests.stages.tracking.people import (
    ENTERING,
    LEFT,
    RIGHT,
    SHAPES,
    WIDTH,
    Person,
    clock,
    detections,
    flipped,
    follow,
    hand_box,
    ids_and_sides,
)


def test_two_hands_keep_ids_and_sides_whatever_the_order_of_detections() -> None:
    rng = np.random.default_rng(0)

    def see(t: float) -> list[HandBox]:
        boxes = [LEFT.seen(t, rng), RIGHT.seen(t, rng)]
        rng.shuffle(boxes)
        return boxes

    frames = follow(clock(2), see)
    assert all(len(boxes) == 2 for boxes in frames)
    assert len(ids_and_sides(frames)) == 2
    assert {box.track_id for box in frames[0]} == {1, 2}
    assert all([box.track_id for box in boxes] == [1, 2] for boxes in frames), "ordered by id"


def test_seen_hands_are_passed_on_as_they_were_seen_with_their_frame() -> None:
    tracking = HandTracking()
    given_box = LEFT.seen(0, np.random.default_rng(0))
    packet = detections(0, [given_box])
    result = tracking.process(packet)
    assert result.frame is packet.frame
    (box,) = result.boxes
    np.testing.assert_array_equal(box.joints_2d, given_box.joints_2d)
    np.testing.assert_array_equal(box.box, given_box.box)
    assert box.score == given_box.score
    assert box.seen


def test_frames_without_hands_flow_on() -> None:
    assert follow(clock(0.2), lambda t: []) == [()] * 6


@pytest.mark.parametrize("rate", [12.0, 30.0, 60.0, 120.0])
@pytest.mark.parametrize("crossing_time", [0.35, 0.8, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_crossing_hands_keep_ids_and_sides(rate: float, crossing_time: float, seed: int) -> None:
    """They pass in front of each other, 30 px apart in height; at the closest one of them is not detected."""
    rng = np.random.default_rng(seed)

    def way(start: float, end: float, y: float) -> Callable[[float], tuple[float, float]]:
        return lambda t: (float(np.interp(t, [0.5, 0.5 + crossing_time], [start, end])), y)

    left, right = Person("left", way(160, 480, 225)), Person("right", way(480, 160, 255))

    def see(t: float) -> list[HandBox]:
        hidden = abs(left.way(t)[0] - right.way(t)[0]) < 50
        boxes = [left.seen(t, rng, score=rng.uniform(0.7, 1))]
        return boxes if hidden else [*boxes, right.seen(t, rng, score=rng.uniform(0.7, 1))]

    frames = follow(clock(1 + crossing_time, rate), see)
    assert ids_and_sides(frames) == ids_and_sides(frames[:5])
    assert len(ids_and_sides(frames)) == 2
    for track_id, side in ids_and_sides(frames):
        truth = {"left": left, "right": right}[side].way(10.0)
        (last,) = (box for box in frames[-1] if box.track_id == track_id)
        assert np.linalg.norm(last.joints_2d[[0, 5, 9, 13, 17]].mean(0) - truth) < 30


def test_hands_that_change_places_between_two_frames_are_known_by_their_sides() -> None:
    rng = np.random.default_rng(0)
    left = Person("left", lambda t: (300.0 if t < 0.45 else 340.0, 240.0))
    right = Person("right", lambda t: (340.0 if t < 0.45 else 300.0, 240.0))
    frames = follow(clock(1, 10), lambda t: [left.seen(t, rng), right.seen(t, rng)])
    assert ids_and_sides(frames) == {(1, "left"), (2, "right")}
    assert frames[-1][0].joints_2d[9, 0] > frames[-1][1].joints_2d[9, 0]


@pytest.mark.parametrize("seed", range(10))
def test_noise_drops_flips_and_duplicates_change_no_id_and_no_side(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left = Person("left", lambda t: (180 + 60 * np.sin(3 * t), 240 + 40 * np.cos(4 * t)))
    right = Person("right", lambda t: (460 + 60 * np.cos(3.5 * t), 240 + 40 * np.sin(3 * t)))

    def see(t: float) -> list[HandBox]:
        boxes = []
        for person in (left, right):
            if t > 0 and rng.random() < 0.1:
                continue
            box = person.seen(t, rng, score=rng.uniform(0.8, 1))
            boxes.append(flipped(box, rng.uniform(0.5, 0.95)) if t > 0.2 and rng.random() < 0.1 else box)
            if rng.random() < 0.1:
                double = person.seen(t, rng, score=rng.uniform(0.5, 0.9), noise=5)
                boxes.append(flipped(double, double.score) if rng.random() < 0.5 else double)
        rng.shuffle(boxes)
        return boxes

    frames = follow(clock(6), see)
    assert ids_and_sides(frames) == ids_and_sides(frames[:1])
    assert len(frames[0]) == 2
    assert sum(len(boxes) for boxes in frames) == 2 * len(frames), "gaps are bridged"


@pytest.mark.parametrize("rate", [10.0, 30.0, 90.0])
def test_a_side_switches_only_after_sustained_disagreement(rate: float) -> None:
    rng = np.random.default_rng(0)
    frames = follow(clock(3, rate), lambda t: [RIGHT.seen(t, rng) if t < 1 else flipped(RIGHT.seen(t, rng))])
    sides = [boxes[0].side for boxes in frames]
    switched = sides.index("left") / rate
    assert 1.2 < switched < 1.7
    assert "right" not in sides[sides.index("left") :]
    assert {boxes[0].track_id for boxes in frames} == {1}


def test_a_wrong_first_side_is_mended_sooner_than_a_known_one() -> None:
    rng = np.random.default_rng(0)
    frames = follow(clock(1), lambda t: [flipped(RIGHT.seen(t, rng)) if t < 0.03 else RIGHT.seen(t, rng)])
    sides = [boxes[0].side for boxes in frames]
    assert sides.index("right") <= 6


def test_guesses_never_switch_a_side() -> None:
    rng = np.random.default_rng(0)
    frames = follow(clock(3), lambda t: [RIGHT.seen(t, rng) if t < 0.5 else flipped(RIGHT.seen(t, rng), score=0.5)])
    assert ids_and_sides(frames) == {(1, "right")}


def test_a_gap_is_bridged_along_the_motion_with_a_falling_score() -> None:
    rng = np.random.default_rng(0)
    moving = Person("right", lambda t: (200 + 200 * t, 240.0))
    frames = follow(clock(1.2), lambda t: [] if 0.5 < t < 0.65 else [moving.seen(t, rng)])
    assert all(len(boxes) == 1 for boxes in frames)
    assert ids_and_sides(frames) == {(1, "right")}
    gap = [boxes[0] for boxes, t in zip(frames, clock(1.2), strict=True) if 0.5 < t < 0.65]
    assert len(gap) == 4
    assert not any(box.seen for box in gap)
    scores = [box.score for box in gap]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] < 0.95
    for box, t in zip(gap, [t for t in clock(1.2) if 0.5 < t < 0.65], strict=True):
        error = np.linalg.norm(box.joints_2d[9] - (SHAPES["right"] * 150 + moving.way(t))[9])
        assert error < 0.1 * hand_size(box.joints_2d)
        np.testing.assert_allclose(box.box, tight_box(box.joints_2d))


@pytest.mark.parametrize("rate", [10.0, 30.0, 90.0])
def test_a_hand_unseen_in_the_picture_is_hidden_after_the_gap_and_forgotten_after_the_memory(rate: float) -> None:
    rng = np.random.default_rng(0)

    def outage(seconds: float) -> tuple[list[tuple[HandBox, ...]], Array]:
        times = clock(4, rate)
        return follow(times, lambda t: [] if 1 <= t < 1 + seconds else [LEFT.seen(t, rng)]), times

    frames, times = outage(0.7)
    assert ids_and_sides(frames) == {(1, "left")}
    shown = times[[len(boxes) == 1 for boxes in frames]]
    last_seen = times[times < 1].max()
    assert 0.2 - 1.01 / rate < shown[shown < 1.7].max() - last_seen < 0.2001
    frames, _ = outage(1.2)
    assert ids_and_sides(frames) == {(1, "left")}
    frames, _ = outage(2.2)
    assert ids_and_sides(frames) == {(1, "left"), (2, "left")}


def test_a_hand_that_leaves_the_picture_is_gone_at_once_and_known_when_it_comes_back() -> None:
    rng = np.random.default_rng(0)
    leaving = Person("right", lambda t: (500 + 300 * t if t < 0.7 else 710 - 300 * (t - 0.7), 240.0))
    # Seen while its palm is in the picture: until 0.46 s, and again from 0.94 s on.
    times = clock(1.2)
    frames = follow(times, lambda t: [leaving.seen(t, rng)] if leaving.way(t)[0] < WIDTH else [])
    assert ids_and_sides(frames) == {(1, "right")}
    assert not any(boxes for boxes, t in zip(frames, times, strict=True) if 0.55 < t < 0.93)


def test_the_other_hand_in_the_place_of_a_lost_one_is_a_new_hand() -> None:
    rng = np.random.default_rng(0)
    other = Person("left", RIGHT.way)

    def see(t: float) -> list[HandBox]:
        if t < 1:
            return [RIGHT.seen(t, rng)]
        return [other.seen(t, rng)] if t > 1.5 else []

    assert ids_and_sides(follow(clock(2), see)) == {(1, "right"), (2, "left")}


def test_two_detections_of_one_hand_make_one_track() -> None:
    rng = np.random.default_rng(0)
    frames = follow(clock(1), lambda t: [RIGHT.seen(t, rng), flipped(RIGHT.seen(t, rng), 0.85)])
    assert all(len(boxes) == 1 for boxes in frames)
    assert ids_and_sides(frames) == {(1, "right")}


def test_of_two_tracks_that_run_into_one_place_one_lives() -> None:
    rng = np.random.default_rng(0)
    other = Person("right", lambda t: (max(480 - 300 * t, 160.0), 240.0))
    first = Person("right", LEFT.way)
    frames = follow(clock(2), lambda t: [first.seen(t, rng), other.seen(t, rng)])
    assert len(frames[0]) == 2
    assert len(frames[-1]) == 1
    assert frames[-1][0].track_id == frames[0][0].track_id, "the older, or the first of two of an age"


def test_a_doubtful_hand_is_shown_once_it_is_seen_again() -> None:
    rng = np.random.default_rng(0)
    frames = follow(clock(0.2), lambda t: [RIGHT.seen(t, rng, score=0.6)])
    assert [len(boxes) for boxes in frames] == [0, 1, 1, 1, 1, 1]
    flash = follow(clock(0.2), lambda t: [RIGHT.seen(t, rng, score=0.6)] if t == 0 else [])
    assert not any(flash)


def test_a_doubtful_hand_that_flickers_is_shown() -> None:
    rng = np.random.default_rng(0)
    every_other = follow(clock(0.3), lambda t: [RIGHT.seen(t, rng, score=0.6)] if round(t * 30) % 2 == 0 else [])
    assert [len(boxes) for boxes in every_other] == [0, 0, 1, 1, 1, 1, 1, 1, 1]
    other_sides = follow(
        clock(0.5), lambda t: [RIGHT.seen(t, rng, score=0.6) if round(t * 30) % 2 else flipped(RIGHT.seen(t, rng), 0.6)]
    )
    assert len(other_sides[-1]) == 1
    assert len(ids_and_sides(other_sides)) == 1


def test_a_certain_hand_wholly_in_the_picture_is_shown_at_once() -> None:
    rng = np.random.default_rng(0)
    assert len(follow([0.0], lambda t: [RIGHT.seen(t, rng, score=0.81)])[0]) == 1
    assert len(follow([0.0], lambda t: [ENTERING.seen(t, rng)])[0]) == 0


def test_a_hand_that_enters_is_shown_once_it_was_seen_twice_as_the_same_side() -> None:
    rng = np.random.default_rng(0)
    wrong_first = follow(clock(0.2), lambda t: [flipped(ENTERING.seen(t, rng)) if t == 0 else ENTERING.seen(t, rng)])
    assert [len(boxes) for boxes in wrong_first] == [0, 0, 1, 1, 1, 1]
    assert ids_and_sides(wrong_first) == {(1, "right")}


def test_stills_have_nothing_to_do_with_one_another() -> None:
    rng = np.random.default_rng(0)
    tracking = HandTracking(stills=True)
    see = {0.0: [RIGHT.seen(0, rng, score=0.6)], 0.04: [flipped(RIGHT.seen(0, rng))], 0.08: []}
    frames = follow(see, lambda t: see[t], tracking)
    assert [[(box.track_id, box.side) for box in boxes] for boxes in frames] == [[(1, "right")], [(2, "left")], []]


def test_a_variable_frame_rate_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    left = Person("left", lambda t: (160 + 100 * np.sin(2 * t), 240.0))
    times = np.cumsum(rng.choice([0.008, 0.033, 0.1, 0.18], size=80))
    frames = follow(times, lambda t: [left.seen(t, rng), RIGHT.seen(t, rng)])
    assert len(ids_and_sides(frames)) == 2
    assert all(len(boxes) == 2 for boxes in frames)


def test_time_stamps_that_stand_still_or_fall_do_no_harm() -> None:
    rng = np.random.default_rng(0)
    times = [0.0, 0.0, 0.1, 0.05, 0.05, -3.0, 0.2, 1e300, 1e300, -1e300, 0.0]
    frames = follow(times, lambda t: [RIGHT.seen(t, rng)])
    assert ids_and_sides(frames) == {(1, "right")}
    assert all(len(boxes) == 1 for boxes in frames)


def test_rules_without_patience_are_followed_exactly() -> None:
    rng = np.random.default_rng(0)
    tracking = HandTracking(TrackingSettings(confirm_score=0, max_gap=0, memory=0, side_time=0))
    see = [[RIGHT.seen(0, rng)], [flipped(RIGHT.seen(0, rng))], [], [RIGHT.seen(0, rng)]]
    frames = follow([0.0, 0.1, 0.2, 0.3], lambda t: see[round(t * 10)], tracking)
    shown = [[(box.track_id, box.side) for box in boxes] for boxes in frames]
    assert shown == [[(1, "right")], [(1, "left")], [], [(2, "right")]]


@st.composite
def sights(draw: st.DrawFn) -> HandBox:
    side = draw(st.sampled_from(SIDES))
    place = draw(st.floats(-200, 900)), draw(st.floats(-200, 700))
    return hand_box(SHAPES[side] * draw(st.floats(0, 400)) + place, side, draw(st.floats(0, 1)))


@given(st.lists(st.tuples(st.floats(-0.1, 0.5), st.lists(sights(), max_size=4)), max_size=20))
def test_whatever_is_seen_ids_are_unique_in_a_frame_sorted_and_never_return(
    frames: list[tuple[float, list[HandBox]]],
) -> None:
    tracking = HandTracking()
    t, last_shown, highest = 0.0, dict[int, int](), 0
    for index, (step, boxes) in enumerate(frames):
        t += step
        ids = [box.track_id or 0 for box in tracking.process(detections(t, boxes, index)).boxes]
        assert ids == sorted(set(ids))
        assert all(track_id > 0 for track_id in ids)
        new = [track_id for track_id in ids if track_id not in last_shown]
        assert all(track_id > highest for track_id in new), "an id given once is not given to another hand"
        highest = max([highest, *ids])
        last_shown.update(dict.fromkeys(ids, index))
