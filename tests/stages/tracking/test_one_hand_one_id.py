"""A person's hand is one hand: it keeps its id and side through jumps, gaps, wrong labels, doubles, pans; not cuts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.view import Intrinsics
from stages.assets import CLIP, CLIP_TRUTH
from stages.packets import Detections, Frame, FrameMeta, HandBox
from stages.sources import source_for
from stages.synthetic import load_truth
from stages.tracking import HandTracking, TrackingSettings
from tests.stages.tracking.people import (
    HEIGHT,
    LEFT,
    RIGHT,
    SHAPES,
    WIDTH,
    Person,
    clock,
    flipped,
    follow,
    hand_box,
    ids_and_sides,
)

Scene = np.ndarray


def most(frames: Sequence[Sequence[HandBox]]) -> int:
    return max(map(len, frames))


@given(st.lists(st.tuples(st.floats(60, 580), st.floats(80, 400)), min_size=2, max_size=6), st.integers(0, 100))
def test_the_only_hand_keeps_its_id_wherever_it_jumps_and_stands_beside_no_ghost(
    places: list[tuple[float, float]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    jumping = Person("right", lambda t: places[int(t / 0.3)])
    frames = follow(clock(0.3 * len(places) - 0.02), lambda t: [jumping.seen(t, rng)])
    assert all(len(boxes) == 1 for boxes in frames)
    assert ids_and_sides(frames) == {(1, "right")}
    assert all(boxes[0].seen for boxes in frames)


@pytest.mark.parametrize("gap", [0.1, 0.5, 0.95])
def test_the_only_hand_that_reappears_elsewhere_keeps_its_id(gap: float) -> None:
    rng = np.random.default_rng(0)
    moved = Person("right", lambda t: (150.0 if t < 0.5 else 500.0, 240.0))
    frames = follow(clock(2), lambda t: [] if 0.5 <= t < 0.5 + gap else [moved.seen(t, rng)])
    assert ids_and_sides(frames) == {(1, "right")}
    assert most(frames) == 1


@pytest.mark.parametrize("frames_wrong", [1, 3, 6])
def test_a_wrong_label_after_a_short_gap_is_the_hand_that_was_there(frames_wrong: int) -> None:
    """As when a hand moves too fast to be seen, and comes out of it blurred."""
    rng = np.random.default_rng(0)
    fast = Person("right", lambda t: (300.0, 150.0 if t < 1 else 250.0))

    def see(t: float) -> list[HandBox]:
        if 1 <= t < 1.06:
            return []
        box = fast.seen(t, rng)
        return [flipped(box)] if 1.06 < t < 1.06 + frames_wrong / 30 else [box]

    frames = follow(clock(2), see)
    assert ids_and_sides(frames) == {(1, "right")}
    assert most(frames) == 1


def test_evidence_outweighs_a_hand_that_was_taken_for_the_one_before() -> None:
    """The right hand goes as the left one comes to its place: the left one is not the right one for long."""
    rng = np.random.default_rng(0)
    other = Person("left", lambda t: (500.0, 250.0))
    frames = follow(clock(2.5), lambda t: [RIGHT.seen(t, rng)] if t < 1 else [other.seen(t, rng)] if t > 1.05 else [])
    sides = [boxes[0].side if boxes else None for boxes in frames]
    assert sides.index("left") / 30 < 1.6
    assert "right" not in sides[sides.index("left") :]
    assert ids_and_sides(frames) == {(1, "right"), (2, "left")}, "another hand has another id"


def test_a_hand_taken_for_another_leaves_that_ones_id_to_it() -> None:
    """As before, and then the right hand comes back."""
    rng = np.random.default_rng(0)
    other = Person("left", lambda t: (460.0, 250.0))
    back = Person("right", lambda t: (160.0, 240.0))

    def see(t: float) -> list[HandBox]:
        if t < 1:
            return [RIGHT.seen(t, rng)]
        lefts = [other.seen(t, rng)] if t > 1.05 else []
        return [*lefts, back.seen(t, rng)] if t > 1.9 else lefts

    frames = follow(clock(3), see)
    assert ids_and_sides(frames) == {(1, "right"), (2, "left")}
    assert {(box.track_id, box.side) for box in frames[-1]} == {(1, "right"), (2, "left")}


@pytest.mark.parametrize("label", ["same", "other"])
def test_a_second_detection_askew_on_a_hand_is_no_second_hand(label: str) -> None:
    rng = np.random.default_rng(0)

    def see(t: float) -> list[HandBox]:
        box = RIGHT.seen(t, rng)
        if not 0.5 < t < 0.7:
            return [box]
        askew = Person("right", lambda t: (520.0, 205.0), size=120).seen(t, rng, score=0.92)
        return [box, askew if label == "same" else flipped(askew, 0.92)]

    frames = follow(clock(1.5), see)
    assert ids_and_sides(frames) == {(1, "right")}
    assert most(frames) == 1


def test_a_second_hand_on_the_first_is_one_after_a_while() -> None:
    rng = np.random.default_rng(0)
    above = Person("left", lambda t: (530.0, 240.0))
    frames = follow(clock(2), lambda t: [RIGHT.seen(t, rng)] + ([above.seen(t, rng)] if t > 0.5 else []))
    assert ids_and_sides(frames) == {(1, "right"), (2, "left")}
    assert all(len(boxes) == 2 for boxes in frames[28:])


def test_a_person_has_never_two_hands_of_one_side() -> None:
    """A blurred left hand that is taken for a right one for most of a second, beside the right one."""
    rng = np.random.default_rng(0)

    def see(t: float) -> list[HandBox]:
        left = LEFT.seen(t, rng, score=0.9)
        return [RIGHT.seen(t, rng), flipped(left, 0.9) if 1 < t < 1.8 else left]

    frames = follow(clock(3), see)
    assert ids_and_sides(frames) == {(1, "right"), (2, "left")} or ids_and_sides(frames) == {(1, "left"), (2, "right")}
    assert all(len({box.side for box in boxes}) == 2 for boxes in frames)


def test_a_hand_with_the_wrong_label_at_first_is_mended_beside_the_other_one() -> None:
    rng = np.random.default_rng(0)
    frames = follow(
        clock(2), lambda t: [RIGHT.seen(t, rng), flipped(LEFT.seen(t, rng)) if t < 0.2 else LEFT.seen(t, rng)]
    )
    assert all({box.side for box in boxes} == {"left", "right"} for boxes in frames)
    for boxes in frames[20:]:
        assert [box.side for box in sorted(boxes, key=lambda box: box.joints_2d[0, 0])] == ["left", "right"]


def test_two_people_are_believed_when_they_are_looked_for_or_seen_for_long() -> None:
    rng = np.random.default_rng(0)
    first, second = Person("right", LEFT.way), RIGHT

    def see(t: float) -> list[HandBox]:
        return [first.seen(t, rng), second.seen(t, rng)]

    crowd = follow(clock(1), see, HandTracking(max_hands=4))
    assert ids_and_sides(crowd) == {(1, "right"), (2, "right")}
    pair = follow(clock(4), see)
    assert all({box.side for box in boxes} == {"left", "right"} for boxes in pair[: int(1.9 * 30)])
    assert {box.side for box in pair[-1]} == {"right"}
    assert len({track_id for track_id, _ in ids_and_sides(pair)}) == 2


def test_hands_taken_for_each_other_get_their_ids_back() -> None:
    """They change places while neither is seen well enough to tell."""
    rng = np.random.default_rng(0)

    def see(t: float) -> list[HandBox]:
        left, right = LEFT, RIGHT
        if t > 1:
            left, right = Person("left", RIGHT.way), Person("right", LEFT.way)
        score = 0.5 if 0.9 < t < 1.1 else 0.95
        return [left.seen(t, rng, score=score), right.seen(t, rng, score=score)]

    frames = follow(clock(3), see)
    first = {box.side: box.track_id for box in frames[0]}
    assert {box.side: box.track_id for box in frames[-1]} == first
    for box in frames[-1]:
        place = (RIGHT if box.side == "left" else LEFT).way(0)
        assert np.linalg.norm(box.joints_2d[[0, 5, 9, 13, 17]].mean(0) - place) < 30


def test_a_wrong_label_after_both_hands_were_away_is_soon_mended() -> None:
    """As in heavy blur: the right hand is found first, and called left; then both, and rightly."""
    rng = np.random.default_rng(0)

    def see(t: float) -> list[HandBox]:
        if 1 <= t < 1.4:
            return []
        right, left = RIGHT.seen(t, rng), LEFT.seen(t, rng)
        return [flipped(right, 0.95)] if 1.4 <= t < 1.47 else [right, left]

    frames = follow(clock(3), see)
    first = {box.side: box.track_id for box in frames[0]}
    wrong = sum(
        any((box.side == "right") != (box.joints_2d[:, 0].mean() > 320) for box in boxes) for boxes in frames[42:]
    )
    assert wrong <= 8, "frames"
    assert {box.side: box.track_id for box in frames[-1]} == first


def test_the_depth_of_a_hand_taken_for_the_other_side_is_turned_back() -> None:
    rng = np.random.default_rng(0)
    world = rng.normal(size=(21, 3)).astype(np.float32)

    def see(t: float) -> list[HandBox]:
        box = replace(RIGHT.seen(t, rng), joints_world=world)
        return [flipped(box) if 0.5 < t < 0.6 else box]

    for boxes, t in zip(follow(clock(1), see), clock(1), strict=True):
        np.testing.assert_allclose(boxes[0].joints_world, world * ((1, 1, -1) if 0.5 < t < 0.6 else (1, 1, 1)))


@pytest.mark.parametrize("frames_wrong", [1, 3])
def test_what_would_be_the_hand_turned_over_within_a_frame_is_not_seen_as_it(frames_wrong: int) -> None:
    """As when blur shows a hand's fingers in the wrong order, so that it is taken for the other hand."""
    rng = np.random.default_rng(0)

    def see(t: float) -> list[HandBox]:
        right = RIGHT.seen(t, rng)
        if not 1 <= t < 1 + (frames_wrong - 0.5) / 30:
            return [right]
        return [Person("left", RIGHT.way).seen(t, rng)]

    frames = follow(clock(2), see)
    assert ids_and_sides(frames) == {(1, "right")}
    assert [i for i, boxes in enumerate(frames) if not boxes[0].seen] == list(range(30, 30 + frames_wrong))
    for boxes in frames:
        truth = SHAPES["right"] * RIGHT.size + RIGHT.way(0)
        assert np.linalg.norm(boxes[0].joints_2d - truth, axis=1).mean() < 10, "px"


def test_what_was_there_for_a_moment_is_not_made_to_last() -> None:
    """A false hand in a single frame, now and then, stands there for one more at most."""
    rng = np.random.default_rng(0)
    times = clock(4)
    frames = follow(times, lambda t: [LEFT.seen(t, rng)] + ([RIGHT.seen(t, rng)] if round(t * 30) % 12 == 6 else []))
    false = [len(boxes) - 1 for boxes in frames]
    assert sum(false) <= 2 * 10
    assert max(n for n, t in zip(false, times, strict=True) if round(t * 30) % 12 >= 8) == 0


def test_at_few_frames_a_second_a_doubled_hand_with_wrong_labels_is_the_one_that_was_there() -> None:
    """Taken for the other side, turned over, and in the first frame seen twice."""
    rng = np.random.default_rng(0)

    def see(t: float) -> list[HandBox]:
        seen = LEFT.seen(t, rng)
        if not 1 <= t < 1.2:
            return [seen]
        mirrored = seen.joints_2d * (-1, 1) + (2 * LEFT.way(t)[0], 0)
        doubles = [mirrored] if t > 1.05 else [mirrored, 0.8 * mirrored + 0.2 * mirrored.mean(0) + (25, -15)]
        return [replace(flipped(seen), joints_2d=joints.astype(np.float32)) for joints in doubles]

    frames = follow(clock(2, 9), see)
    assert ids_and_sides(frames) == {(1, "left")}
    assert most(frames) == 1


def test_another_hand_in_the_place_of_one_is_soon_believed() -> None:
    rng = np.random.default_rng(0)
    frames = follow(clock(2), lambda t: [(RIGHT if t < 1 else Person("left", RIGHT.way)).seen(t, rng)])
    assert all(len(boxes) == 1 for boxes in frames)
    assert ids_and_sides(frames[:33]) == {(1, "right")}
    assert all(boxes[0].seen for boxes in frames[33:])
    assert ids_and_sides(frames[46:]) == {(2, "left")}


# Pictures


def wall(seed: int, width: int = 1200, height: int = 900) -> Scene:
    """A scene with blobs of all sizes, larger than the picture."""
    import cv2

    rng = np.random.default_rng(seed)
    scene = np.full((height, width, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(120):
        centre, radius = rng.integers((0, 0), (width, height)), int(rng.integers(8, 60))
        cv2.circle(scene, tuple(map(int, centre)), radius, tuple(map(int, rng.integers(0, 255, 3))), -1)
    return scene


def shot(scene: Scene, x: float, y: float) -> np.ndarray:
    left, top = round(x), round(y)
    return np.ascontiguousarray(scene[top : top + HEIGHT, left : left + WIDTH])


def watch(
    times: np.ndarray, picture: Callable[[float], np.ndarray], see: Callable[[float], list[HandBox]]
) -> tuple[list[tuple[HandBox, ...]], HandTracking]:
    tracking = HandTracking(TrackingSettings(max_gap=0.5))
    frames = []
    for i, t in enumerate(times):
        meta = FrameMeta("hands", i, float(t), 1, WIDTH, HEIGHT, Intrinsics(500, 500, WIDTH / 2, HEIGHT / 2))
        frames.append(tracking.process(Detections(Frame(meta, picture(float(t))), tuple(see(float(t))))).boxes)
    return frames, tracking


@pytest.mark.parametrize("speed", [-250.0, 120.0, 400.0])
def test_an_unseen_hand_stays_where_it_is_in_the_scene_while_the_camera_pans(speed: float) -> None:
    rng = np.random.default_rng(0)
    scene = wall(1)
    start = 400 if speed < 0 else 50

    def pan(t: float) -> float:
        return speed * max(t - 0.5, 0)

    still = Person("right", lambda t: (320 - pan(t), 240.0), size=120)
    frames, _ = watch(
        clock(1),
        lambda t: shot(scene, start + pan(t), 100),
        lambda t: [] if 0.75 < t < 1 else [still.seen(t, rng, noise=0.5)],
    )
    assert all(len(boxes) == 1 for boxes in frames)
    for boxes, t in zip(frames, clock(1), strict=True):
        off = np.linalg.norm(boxes[0].joints_2d - SHAPES["right"] * 120 - still.way(float(t)), axis=1).mean()
        assert off < 12, f"px, at {t:.2f} s"


def test_an_unseen_hand_ends_where_nobody_can_say_how_the_picture_moved() -> None:
    rng = np.random.default_rng(0)
    noise = np.random.default_rng(1)

    def picture(t: float) -> np.ndarray:
        return wall(1)[:HEIGHT, :WIDTH] if t < 0.5 else noise.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)

    frames, _ = watch(clock(1), picture, lambda t: [RIGHT.seen(t, rng)] if t < 0.51 else [])
    assert not any(frames[17:])


def test_everything_is_forgotten_at_a_cut() -> None:
    rng = np.random.default_rng(0)
    first, second = wall(1), wall(2)
    frames, tracking = watch(
        clock(1), lambda t: shot(first if t < 0.5 else second, 100, 100), lambda t: [RIGHT.seen(t, rng)]
    )
    assert [{box.track_id for box in boxes} for boxes in frames] == [{1}] * 15 + [{2}] * 15
    assert [choice.chosen for choice in tracking.choices()] == ["1"]


def test_a_hand_not_seen_after_a_cut_is_not_shown() -> None:
    rng = np.random.default_rng(0)
    first, second = wall(1), wall(2)
    frames, _ = watch(
        clock(1),
        lambda t: shot(first if t < 0.5 else second, 100, 100),
        lambda t: [RIGHT.seen(t, rng)] if t < 0.5 else [],
    )
    assert not any(frames[15:])


@given(st.integers(0, 50), st.sampled_from(["pan", "flash", "dark", "hand", "zoom", "grain"]))
def test_what_is_no_cut_is_not_taken_for_one(seed: int, kind: str) -> None:
    import cv2

    rng = np.random.default_rng(seed)
    scene = wall(seed)

    def picture(t: float) -> np.ndarray:
        image = shot(scene, 100 + (900 * t if kind == "pan" else 0) * 0.3, 100)
        if kind == "flash" and 0.2 < t < 0.3:
            image = (image // 2 + 120).astype(np.uint8)
        if kind == "dark" and t > 0.3:
            image = image // 3
        if kind == "hand":  # one that fills half of the picture, waving
            image = image.copy()
            x = int(320 + 300 * np.sin(20 * t))
            image[:, max(x - 160, 0) : x + 160] = (200, 150, 120)
        if kind == "zoom":
            matrix = cv2.getRotationMatrix2D((320, 240), 10 * t, 1 + 0.6 * t)
            image = np.asarray(cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))
        if kind == "grain":
            image = np.clip(image + rng.normal(0, 25, image.shape), 0, 255).astype(np.uint8)
        return image

    frames, tracking = watch(clock(0.5), picture, lambda t: [RIGHT.seen(t, rng)])
    assert tracking.choices() == ()
    assert ids_and_sides(frames) == {(1, "right")}


@pytest.fixture(scope="module")
def desk() -> list[Frame]:
    """Frames of the shipped clip in which hands move over a sheet of paper; there is little else to hold on to."""
    source = source_for(str(CLIP))
    source.open()
    try:
        return [frame for frame in islice(source.frames(), 126, 174, 3) if frame is not None]
    finally:
        source.close()


@pytest.mark.parametrize("grain", [0.0, 10.0, 25.0])
def test_grain_over_a_desk_is_no_cut(desk: list[Frame], grain: float) -> None:
    truth, noise = load_truth(CLIP_TRUTH), np.random.default_rng(0)
    tracking, frames = HandTracking(), []
    for frame in desk:
        joints = truth.joints_2d[frame.meta.index]
        boxes = [hand_box(of_hand, side, 0.95) for of_hand, side in zip(joints, truth.sides, strict=True)]
        image = np.clip(frame.image + noise.normal(0, grain, frame.image.shape), 0, 255).astype(np.uint8)
        frames.append(tracking.process(Detections(Frame(frame.meta, image), tuple(boxes))).boxes)
    assert tracking.choices() == ()
    assert ids_and_sides(frames) == {(1, "left"), (2, "right")}
