"""Smoothing calms a hand at rest, does not hold back a moving one, and gives one consistent hand."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand import MIRROR, SIDES, Side, joint_axes, load_generic_hand
from hamba_core.hand.rotations import angle_between, exp_so3, log_so3
from hamba_core.view import Intrinsics
from stages.assets import CLIP_TRUTH
from stages.common.proximity import tight_box
from stages.packets import FrameMeta, FrameResult, Hand
from stages.smoothing import Smoothing, SmoothingSettings
from stages.synthetic import load_truth

MODEL = load_generic_hand()
CAMERA = Intrinsics(550, 560, 310, 250)
AT_REST = np.array([0.05, -0.02, 0.5])


def posed_hand(
    translation: Array = AT_REST,
    orientation: Sequence[float] | Array = (0.3, -0.5, 0.2),
    fingers: Array | None = None,
    betas: Array | None = None,
    *,
    side: Side = "right",
    track_id: int = 1,
    camera: Intrinsics = CAMERA,
) -> Hand:
    """A hand; `fingers` are rotation vectors (15, 3)."""
    global_orient = exp_so3(orientation)
    hand_pose = exp_so3(0.4 * MODEL.flexion_axes if fingers is None else fingers)
    betas = np.zeros(10) if betas is None else betas
    posed = MODEL.pose(global_orient, hand_pose, betas, translation, side)
    joints_2d = camera.project(posed.joints).astype(np.float32)
    return Hand(
        track_id=track_id,
        side=side,
        score=0.9,
        box=tight_box(joints_2d).astype(np.float32),
        global_orient=global_orient.astype(np.float32),
        hand_pose=hand_pose.astype(np.float32),
        betas=betas.astype(np.float32),
        translation=translation.astype(np.float32),
        joints=posed.joints.astype(np.float32),
        joints_2d=joints_2d,
        vertices=posed.vertices.astype(np.float32),
    )


def result(t: float, *hands: Hand, camera: Intrinsics = CAMERA) -> FrameResult:
    return FrameResult(FrameMeta("hands", 0, t, 1, 640, 480, camera), hands)


def smoothed(
    motion: Callable[[float], Hand], seconds: float, rate: float = 30.0, smoothing: Smoothing | None = None
) -> list[Hand]:
    smoothing = smoothing or Smoothing(SmoothingSettings(), load_generic_hand())
    return [smoothing.process(result(t, motion(t))).hands[0] for t in np.arange(round(seconds * rate)) / rate]


def noisy(rng: np.random.Generator, motion: Callable[[float], Hand] | None = None, side: Side = "right") -> Hand:
    """A hand at rest as a good estimator sees it: every quantity with an error of its own in each frame."""
    place = AT_REST * np.exp(rng.normal(scale=0.005)) + np.append(rng.normal(scale=0.0008, size=2), 0)
    return posed_hand(
        place,
        np.array([0.3, -0.5, 0.2]) + rng.normal(scale=0.02, size=3),
        0.4 * MODEL.flexion_axes + rng.normal(scale=0.02, size=(15, 3)),
        rng.normal(scale=0.3, size=10),
        side=side,
    )


def _bends(rng: np.random.Generator, flexion: float, sideways: float) -> Array:
    """Rotation vectors (15, 3): of so many radians about the fingers' own axes, and about the others."""
    others = rng.normal(scale=sideways, size=(15, 3))
    along = rng.normal(scale=flexion, size=(15, 1)) - (others * MODEL.flexion_axes).sum(1, keepdims=True)
    bends: Array = others + along * MODEL.flexion_axes
    return bends


def jitter(hands: Sequence[Hand], of: Callable[[Hand], NDArray[np.floating]]) -> float:
    """Root mean square of the second differences over time, which motion has little of and noise much."""
    return float(np.sqrt(np.mean(np.diff([of(hand) for hand in hands], 2, axis=0) ** 2)))


def assert_same_hand(first: Hand, second: Hand, atol: float = 1e-6) -> None:
    for name in ("global_orient", "hand_pose", "betas", "translation", "joints", "vertices"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=atol, err_msg=name)
    np.testing.assert_allclose(first.joints_2d, second.joints_2d, atol=1e-2)


@pytest.mark.parametrize("side", ["left", "right"])
def test_parameters_joints_vertices_and_picture_agree(side: Side) -> None:
    rng = np.random.default_rng(0)
    for hand in smoothed(lambda t: noisy(rng, side=side), 0.3):
        orientation, fingers = hand.global_orient.astype(np.float64), hand.hand_pose.astype(np.float64)
        betas, translation = hand.betas.astype(np.float64), hand.translation.astype(np.float64)
        posed = MODEL.pose(orientation, fingers, betas, translation, hand.side)
        np.testing.assert_allclose(hand.joints, posed.joints, atol=1e-6)
        np.testing.assert_allclose(hand.vertices, posed.vertices, atol=1e-6)
        np.testing.assert_allclose(hand.joints_2d, CAMERA.project(hand.joints), atol=1e-3)


def test_a_hand_at_rest_is_calmer() -> None:
    rng = np.random.default_rng(0)
    raw = [noisy(rng) for _ in range(120)]
    frames = iter(raw)
    calm = smoothed(lambda t: next(frames), 4)
    for name, of in {
        "joints": lambda hand: hand.joints,
        "depth": lambda hand: hand.translation[2:],
        "picture": lambda hand: hand.joints_2d,
        "shape": lambda hand: hand.joints - hand.joints[0],
        "betas": lambda hand: hand.betas,
    }.items():
        assert jitter(calm[30:], of) < 0.6 * jitter(raw[30:], of), name
    # It is calm about the truth, not about something else.
    truth = posed_hand()
    assert np.linalg.norm(np.mean([hand.joints for hand in calm[30:]], 0) - truth.joints, axis=-1).max() < 0.005


@pytest.mark.parametrize("rate", [15.0, 30.0, 60.0])
def test_a_moving_hand_is_not_held_back(rate: float) -> None:
    """Half a metre a second across the picture and towards the camera, turning and closing."""

    def motion(t: float) -> Hand:
        moved = max(t - 0.5, 0.0)
        return posed_hand(
            AT_REST + np.array([0.35, 0.1, 0.35]) * (moved - 0.25),
            np.array([0.3, -0.5, 0.2]) + np.array([0, 3, 0]) * moved,
            (0.2 + 2 * moved) * MODEL.flexion_axes,
        )

    last = smoothed(motion, 1.2, rate)[-1]
    late = [1.2 - 1 / rate - delay for delay in np.linspace(0, 0.2, 201)]
    truths = [motion(t) for t in late]

    def lag(of: Callable[[Hand], NDArray[np.floating]]) -> float:
        """Milliseconds: how long ago the true hand was most like the smoothed one."""
        return float(np.argmin([np.abs(of(last) - of(truth)).sum() for truth in truths]))

    allowed = max(1000 / rate, 35)  # a frame's time
    assert lag(lambda hand: hand.joints.mean(0)[:2] / hand.joints.mean(0)[2]) < allowed / 2
    assert lag(lambda hand: hand.joints.mean(0)[2:]) < allowed
    assert lag(lambda hand: hand.global_orient) < allowed
    assert lag(lambda hand: hand.hand_pose) < allowed


def test_on_real_motion_smoothed_hands_are_calmer_and_nearer_to_the_truth() -> None:
    """The shipped clip's hands with hamba-s's errors on it while they move, by their third differences."""
    truth = load_truth(CLIP_TRUTH)
    rng = np.random.default_rng(0)
    smoothing = Smoothing(SmoothingSettings(), load_generic_hand())
    raw_errors, errors = [], []
    for i in range(200):
        hand = posed_hand(
            truth.translation[i, 0] * np.exp(rng.normal(scale=0.008)) + np.append(rng.normal(scale=0.0003, size=2), 0),
            log_so3(exp_so3(rng.normal(scale=(0.026, 0.026, 0.008))) @ truth.global_orient[i, 0]),
            log_so3(exp_so3(_bends(rng, 0.029, 0.005)) @ truth.hand_pose[i, 0]),
            truth.betas[0] + rng.normal(scale=0.2, size=10),
            side=truth.sides[0],
            camera=truth.camera,
        )
        found = smoothing.process(result(i / truth.fps, hand, camera=truth.camera)).hands[0]
        raw_errors.append(hand.joints - truth.joints[i, 0])
        errors.append(found.joints - truth.joints[i, 0])

    def size(differences: NDArray[np.floating]) -> float:
        return float(np.linalg.norm(differences, axis=-1).mean())

    assert size(np.diff(errors, 2, axis=0)) < 0.6 * size(np.diff(raw_errors, 2, axis=0))
    assert size(np.array(errors)) < 0.9 * size(np.array(raw_errors))


def _calmed(axes: Array) -> float:
    """The jitter that is left of a hand at rest whose wrist trembles about these axes (n, 3), as a share."""
    rng = np.random.default_rng(0)
    place = np.array([0.0, 0.0, 0.5])  # seen along z
    rest = exp_so3([0.3, -0.5, 0.2])
    raw = [
        posed_hand(place, log_so3(exp_so3(rng.normal(scale=0.02, size=len(axes)) @ axes) @ rest)) for _ in range(120)
    ]
    frames = iter(raw)
    calm = smoothed(lambda t: next(frames), 4)
    return jitter(calm[30:], lambda h: h.global_orient) / jitter(raw[30:], lambda h: h.global_orient)


def test_tilts_are_calmed_more_than_turns_in_the_picture() -> None:
    in_picture, tilts = _calmed(np.eye(3)[2:]), _calmed(np.eye(3)[:2])
    assert tilts < 0.5 * in_picture
    assert in_picture < 0.5


def test_fingers_are_calmed_more_sideways_than_in_bending() -> None:
    def share(flexion: float, sideways: float) -> float:
        rng = np.random.default_rng(0)
        raw = [posed_hand(fingers=0.4 * MODEL.flexion_axes + _bends(rng, flexion, sideways)) for _ in range(120)]
        frames = iter(raw)
        calm = smoothed(lambda t: next(frames), 4)
        return jitter(calm[30:], lambda h: h.hand_pose) / jitter(raw[30:], lambda h: h.hand_pose)

    assert share(0, 0.02) < 0.8 * share(0.02, 0)


@pytest.mark.parametrize("rate", [15.0, 30.0, 60.0])
def test_a_hand_that_stops_suddenly_is_hardly_overshot(rate: float) -> None:
    def depth(t: float) -> float:
        return 0.6 - 0.35 * min(max(t - 0.5, 0), 0.7)

    hands = smoothed(lambda t: posed_hand(np.array([0, 0, depth(t)])), 2.2, rate)
    expected = posed_hand(np.array([0, 0, depth(9)])).joints[:, 2].mean()
    nearest = min(hand.joints[:, 2].mean() for hand in hands)
    assert expected - nearest < 0.015
    assert hands[-1].joints[:, 2].mean() == pytest.approx(expected, abs=0.002)


def test_of_a_finger_that_jumps_only_what_is_too_far_is_followed_at_once() -> None:
    rest = 0.4 * MODEL.flexion_axes
    jumped = rest.copy()
    jumped[0] *= 3  # by 0.8 radians

    def bend(hand: Hand) -> float:
        return float(angle_between(hand.hand_pose[0], exp_so3(rest[0])))

    before, at, *after = map(bend, smoothed(lambda t: posed_hand(fingers=rest if t < 1 else jumped), 1.5)[29:])
    assert before == pytest.approx(0, abs=1e-3)
    assert at == pytest.approx(0.5, abs=1e-3)
    assert max(after) < 0.8 + 0.06
    assert after[-1] == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("side", SIDES)
def test_hands_within_a_hands_limits_stay_within_them_however_their_fingers_jump(side: Side) -> None:
    rng = np.random.default_rng(3)
    axes = joint_axes(MODEL.rest_joints_21(np.zeros(10)))
    least, most = MODEL.joint_limits[..., 0], MODEL.joint_limits[..., 1]

    def motion(t: float) -> Hand:
        flexion, abduction, twist = (exp_so3(angle * axes[:, i]) for i, angle in enumerate(angles(rng)))
        return posed_hand(fingers=log_so3(flexion @ abduction @ twist), side=side)

    def angles(rng: np.random.Generator) -> Array:
        drawn: Array = rng.uniform(least, most).T[..., None]
        return drawn

    for hand in smoothed(motion, 1.5):
        local = axes @ hand.hand_pose.astype(np.float64) @ axes.swapaxes(1, 2)
        bends = np.arctan2(-local[:, 1, 2], local[:, 2, 2]), np.arcsin(local[:, 0, 2])
        twists = np.arctan2(-local[:, 0, 1], local[:, 0, 0])
        found = np.stack([*bends, twists], -1)
        assert np.maximum(least - found, found - most).max() < 0.002


def test_a_hand_that_came_beyond_the_limits_is_not_bent_back() -> None:
    beyond = 0.4 * MODEL.flexion_axes
    beyond[4] = -0.9 * MODEL.flexion_axes[4]  # a finger's joint bent backwards, as a network may have it
    hand = smoothed(lambda t: posed_hand(fingers=beyond), 0.5)[-1]
    np.testing.assert_allclose(hand.hand_pose, exp_so3(beyond), atol=1e-5)


def test_a_hand_that_tilts_at_once_is_followed_just_as_far_as_it_lies_on_what_was_seen() -> None:
    """A tilt of 0.9 radians in a frame: less than a wrist can, and more than strong filters follow."""

    def motion(t: float) -> Hand:
        return posed_hand(orientation=(0.9 if t >= 1 else 0.0, 0, 0))

    def apart(hand: Hand, seen: Hand) -> float:
        """Their joints' mean distance in the picture, as a share of the longer side of what was seen."""
        size = np.ptp(seen.joints_2d, axis=0).max()
        return float(np.linalg.norm(hand.joints_2d - seen.joints_2d, axis=1).mean() / size)

    hands = smoothed(motion, 2, smoothing=Smoothing(SmoothingSettings(strength=10), MODEL))
    *_, before = hands[:30]
    at, *after = hands[30:]
    assert apart(before, motion(1)) > 0.12
    assert 0.09 < apart(at, motion(1)) < 0.105
    assert angle_between(at.global_orient, motion(1).global_orient) > 0.1
    assert max(apart(hand, motion(1)) for hand in after) < 0.105
    assert apart(after[-1], motion(1)) < 0.005


def test_a_still_input_stays_as_it_is() -> None:
    for hand in smoothed(lambda t: posed_hand(), 0.5):
        assert_same_hand(hand, posed_hand())


def test_the_first_frame_of_a_track_passes_unchanged() -> None:
    smoothing = Smoothing(SmoothingSettings(), load_generic_hand())
    rng = np.random.default_rng(0)
    first, second = noisy(rng), replace(noisy(rng), track_id=7)
    assert smoothing.process(result(0.0, first)).hands[0] is first
    hands = smoothing.process(result(0.033, noisy(rng), second)).hands
    assert hands[1] is second


@pytest.mark.parametrize(
    ("name", "t", "side"),
    [("a gap", 0.6, "right"), ("a change of sides", 0.033, "left"), ("time going back", -1.0, "right")],
)
def test_filters_begin_anew_after(name: str, t: float, side: Side) -> None:
    smoothing = Smoothing(SmoothingSettings(), load_generic_hand())
    smoothing.process(result(0.0, posed_hand()))
    moved = posed_hand(AT_REST + 0.1, side=side)
    assert smoothing.process(result(t, moved)).hands[0] is moved, name


def test_a_gap_of_two_frames_does_not_begin_anew() -> None:
    smoothing = Smoothing(SmoothingSettings(), load_generic_hand())
    smoothing.process(result(0.0, posed_hand()))
    smoothing.process(result(0.033))
    moved = posed_hand(AT_REST + np.array([0.001, 0, 0]))
    assert smoothing.process(result(0.067, moved)).hands[0].translation[0] < moved.translation[0]


def test_strength_zero_leaves_results_alone() -> None:
    smoothing = Smoothing(SmoothingSettings(strength=0), load_generic_hand())
    rng = np.random.default_rng(0)
    for t in (0.0, 0.1):
        given = result(t, noisy(rng))
        assert smoothing.process(given).hands == given.hands


@pytest.mark.parametrize("strength", [0, 1])
@pytest.mark.parametrize("side", ["left", "right"])
def test_hands_that_come_without_a_mesh_leave_with_that_of_their_parameters(side: Side, strength: float) -> None:
    smoothing = Smoothing(SmoothingSettings(strength=strength), load_generic_hand())
    rng = np.random.default_rng(0)
    for t in (0.0, 0.03, 0.06):
        bare = replace(noisy(rng, side=side), vertices=np.zeros((0, 3), np.float32))
        (hand,) = smoothing.process(result(t, bare)).hands
        parameters = (x.astype(np.float64) for x in (hand.global_orient, hand.hand_pose, hand.betas, hand.translation))
        np.testing.assert_allclose(hand.vertices, MODEL.pose(*parameters, side).vertices, atol=1e-5)  # type: ignore[call-arg, arg-type]


def test_more_strength_is_calmer() -> None:
    def picture_jitter(strength: float) -> float:
        rng = np.random.default_rng(0)
        smoothing = Smoothing(SmoothingSettings(strength=strength), load_generic_hand())
        return jitter(smoothed(lambda t: noisy(rng), 3, smoothing=smoothing)[30:], lambda hand: hand.joints_2d)

    assert picture_jitter(3) < 0.8 * picture_jitter(1) < 0.8 * picture_jitter(0.3)


def test_left_hands_are_smoothed_as_mirrored_right_hands() -> None:
    camera = Intrinsics(550, 550, 320, 240)
    hands: dict[Side, Hand] = {}
    for side in SIDES:
        mirror = np.ones(3) if side == "right" else np.diag(MIRROR)
        rng = np.random.default_rng(0)
        smoothing = Smoothing(SmoothingSettings(), load_generic_hand())
        for t in np.arange(10) / 30:
            hand = posed_hand(
                (AT_REST + rng.normal(scale=0.01, size=3)) * mirror,
                rng.normal(size=3) * 0.1,
                betas=rng.normal(size=10),
                side=side,
                camera=camera,
            )
            hands[side] = smoothing.process(result(t, hand, camera=camera)).hands[0]
    np.testing.assert_allclose(hands["left"].vertices, hands["right"].vertices @ MIRROR, atol=1e-6)
    np.testing.assert_allclose(hands["left"].joints_2d[:, 0], 640 - hands["right"].joints_2d[:, 0], atol=1e-2)


def test_hands_do_not_touch_one_another_and_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    alone, together = (Smoothing(SmoothingSettings(), load_generic_hand()) for _ in range(2))
    for t in np.arange(10) / 30:
        one, other = noisy(rng), replace(noisy(rng, side="left"), track_id=2)
        expected = alone.process(result(t, one)).hands[0]
        found = together.process(result(t, other, one)).hands
        assert [hand.track_id for hand in found] == [2, 1]
        assert_same_hand(found[1], expected)


def test_what_is_not_smoothed_stays() -> None:
    rng = np.random.default_rng(0)
    smoothing = Smoothing(SmoothingSettings(), load_generic_hand())
    smoothing.process(result(0.0, noisy(rng)))
    image = np.zeros((480, 640, 3), np.uint8)
    hand = noisy(rng)
    given = replace(result(0.03, hand), image=image, stage_ns={"detect": 5})
    found = smoothing.process(given)
    assert (found.frame, found.image, found.stage_ns) == (given.frame, image, {"detect": 5})
    assert (found.hands[0].score, found.hands[0].track_id) == (hand.score, hand.track_id)
    np.testing.assert_array_equal(found.hands[0].box, hand.box)


def test_frames_without_hands_flow_on() -> None:
    assert Smoothing(SmoothingSettings(), load_generic_hand()).process(result(0.0)).hands == ()


def test_time_that_stands_still_does_no_harm() -> None:
    rng = np.random.default_rng(0)
    smoothing = Smoothing(SmoothingSettings(), load_generic_hand())
    for _ in range(5):
        hand = smoothing.process(result(1.0, noisy(rng))).hands[0]
    assert angle_between(hand.global_orient, exp_so3([0.3, -0.5, 0.2])) < 0.2


vectors = st.lists(st.floats(-3, 3), min_size=3, max_size=3).map(np.array)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 0.2), vectors, vectors), min_size=2, max_size=8))
def test_whatever_comes_rotations_stay_rotations(frames: list[tuple[float, Array, Array]]) -> None:
    smoothing = Smoothing(SmoothingSettings(), load_generic_hand())
    t = 0.0
    for step, orientation, place in frames:
        t += step
        hand = posed_hand(np.array([0, 0, 4.0]) + place, orientation)
        found = smoothing.process(result(t, hand)).hands[0]
        for rotations in (found.global_orient[None], found.hand_pose):
            np.testing.assert_allclose(rotations @ np.swapaxes(rotations, 1, 2) - np.eye(3), 0, atol=1e-5)
            np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-5)


def test_it_tells_how_late_it_makes_hands_at_rest_and_moving_ones() -> None:
    def reported(smoothing: Smoothing) -> tuple[str, str]:
        (choice,) = smoothing.choices()
        return choice.chosen, choice.reason

    smoothing = Smoothing(SmoothingSettings(), MODEL)
    assert "ms" not in reported(smoothing)[1]
    smoothed(lambda t: posed_hand(), 1.0, smoothing=smoothing)
    assert re.fullmatch(r"adds \d+ ms to hands at rest, \d+ ms in depth", reported(smoothing)[1])
    smoothed(
        lambda t: posed_hand(AT_REST + np.array([0.3 * np.sin(4 * t), 0, 0]), track_id=2), 2.0, smoothing=smoothing
    )
    rest, moving, depth = map(int, re.findall(r"(\d+) ms", reported(smoothing)[1]))
    assert moving < depth < rest
    assert moving < 12
    assert reported(Smoothing(SmoothingSettings(strength=0), MODEL))[0] == "off"
