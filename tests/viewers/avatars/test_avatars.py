"""What python-osc's own server receives moves an avatar's fingers to where the person's are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.arrays import Array
from hamba_core.hand import FINGERS, SIDES, Side, exp_so3
from stages.packets import FrameResult, Hand
from viewers.avatars import OscMessage, OscSender, osc_messages, vmc_messages, webxr_frame
from viewers.avatars.humanoid import PARTS, curls, finger_bones, wrist_tracker
from viewers.avatars.webxr import WEBXR_JOINTS
from viewers.robots.retarget.wrist_frame import joints_in_wrist

pytest.importorskip("pythonosc", reason="needs python-osc: pip install 'hamba-stream[avatars]'")

MakeHand = Callable[..., Hand]
MakeResult = Callable[..., FrameResult]
CAMERA = np.array([0.0, 1.2, 0.6])


def matrix(quaternion: Any) -> Array:
    """The rotation matrix of x, y, z, w: the same in left-handed axes."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def in_unity(points: Array, side: Side) -> Array:
    """Points of the palm's frame in an avatar's T-pose: fingers to its side, palm down, thumb forward."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    sign = 1 if side == "right" else -1
    return np.stack([sign * z, -x, sign * y], -1)


def posed(bones: dict[str, tuple[Any, Any]], side: Side, finger: str) -> list[Array]:
    """Where Unity has the joints of a finger, from the hand's bone."""
    place, turned, found = np.zeros(3), np.eye(3), []
    for part in PARTS:
        position, rotation = bones[f"{side.capitalize()}{finger.capitalize()}{part}"]
        place = place + turned @ np.array(position)
        turned = turned @ matrix(rotation)
        found.append(place)
    return found


def received(messages: list[OscMessage]) -> list[tuple[str, tuple[Any, ...]]]:
    """What python-osc's server gets of them over UDP."""
    from pythonosc.dispatcher import Dispatcher
    from pythonosc.osc_server import BlockingOSCUDPServer

    found: list[tuple[str, tuple[Any, ...]]] = []
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(lambda address, *arguments: found.append((address, arguments)))
    with BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher) as server:
        server.timeout = 10
        with OscSender("127.0.0.1", server.server_address[1]) as sender:
            sender.send(messages)
        while len(found) < len(messages):
            before = len(found)
            server.handle_request()
            assert len(found) > before, "nothing came in time"
    return found


def test_a_vmc_receiver_gets_the_fingers_of_both_hands_where_they_are(make_result: MakeResult) -> None:
    result = make_result(3)
    found = received(list(vmc_messages(result, 1.5, CAMERA)))
    assert found[:2] == [("/VMC/Ext/OK", (1,)), ("/VMC/Ext/T", (1.5,))]
    bones = {args[0]: (args[1:4], args[4:8]) for address, args in found if address == "/VMC/Ext/Bone/Pos"}
    assert len(bones) == 30
    for hand in result.hands:
        joints = in_unity(joints_in_wrist(hand.joints, hand.side), hand.side)
        for number, finger in enumerate(FINGERS):
            for part, place in enumerate(posed(bones, hand.side, finger)):
                np.testing.assert_allclose(place, joints[1 + 4 * number + part], atol=1e-5)


@pytest.mark.parametrize("side", SIDES)
def test_a_flat_hand_is_the_rest_pose_and_bent_fingers_turn_down(side: Side, make_hand: MakeHand) -> None:
    from dataclasses import replace

    from hamba_core.hand import load_generic_hand

    model = load_generic_hand()

    def hand_of(pose: Array) -> Hand:
        made = make_hand(0, side)
        posed = model.pose(np.asarray(made.global_orient, float), pose, np.zeros(10), np.array([0, 0, 0.5]), side)
        return replace(made, hand_pose=pose.astype(np.float32), joints=posed.joints.astype(np.float32))

    flat = finger_bones(hand_of(np.broadcast_to(np.eye(3), (15, 3, 3))))
    np.testing.assert_allclose([bone.rotation for bone in flat], np.tile([0, 0, 0, 1], (15, 1)), atol=1e-3)
    out = 1 if side == "right" else -1
    for bone in flat[3:]:
        assert bone.position[0] * out > 0.01, "fingers point to the avatar's side"
    thumb = flat[0].position
    assert thumb[2] > 0.005, "the thumb is in front"
    bent = finger_bones(hand_of(exp_so3(model.flexion_axes * 0.8)))
    for bone in bent[3:]:
        finger = matrix(bone.rotation) @ [out, 0, 0]
        assert finger[1] < -0.5, f"{bone.name} bends to the palm, which looks down"


def test_wrists_are_where_a_person_before_the_camera_has_them(make_hand: MakeHand) -> None:
    for side in SIDES:
        hand = make_hand(0, side, translation=(-0.2, 0.1, 0.5))  # left in the picture: at the person's right
        tracker = wrist_tracker(hand, CAMERA)
        np.testing.assert_allclose(tracker.position, CAMERA - hand.joints[0], atol=1e-6)
        assert tracker.position[0] > 0.1
        # Turned by it, the T-pose's fingers go where the person's go.
        fingers = matrix(tracker.rotation) @ [1 if side == "right" else -1, 0, 0]
        along = hand.joints[9] - hand.joints[0]
        np.testing.assert_allclose(fingers, -along / np.linalg.norm(along), atol=1e-4)


def test_unseen_hands_send_nothing_and_the_better_of_two_is_sent(make_result: MakeResult, make_hand: MakeHand) -> None:
    from dataclasses import replace

    good, poor = (replace(make_hand(n, "left", track_id=n), quality=q) for n, q in ((1, 0.9), (2, 0.3)))
    away = replace(make_hand(3, "right"), seen=False)
    found = list(vmc_messages(make_result(0, (poor, good, away)), 0.0, CAMERA, trackers=False))
    assert len(found) == 2 + 15
    assert found[2].arguments[4:] == pytest.approx(finger_bones(good)[0].rotation)


def test_plain_osc_has_joints_curls_and_pinch(make_result: MakeResult) -> None:
    result = make_result(0, 1)
    [hand] = result.hands
    found = dict(received(list(osc_messages(result, "/show"))))
    assert found["/show/frame"] == (0, 0.0)
    assert (found["/show/right/seen"], found["/show/left/seen"]) == ((1,), (0,))
    np.testing.assert_allclose(np.reshape(found["/show/right/joints"], (21, 3)), hand.joints, atol=1e-6)
    assert found["/show/right/pinch"][0] == pytest.approx(
        float(np.linalg.norm(hand.joints[4] - hand.joints[8])), abs=1e-6
    )
    assert {f"/show/right/curl/{finger}" for finger in FINGERS} <= set(found)
    assert not [address for address in found if address.startswith("/show/left/") and not address.endswith("seen")]


@given(st.floats(0.0, 1.5))
def test_a_finger_that_bends_further_curls_more(angle: float) -> None:
    from types import SimpleNamespace

    joints = np.zeros((21, 3))
    for finger in range(5):
        turn, place = np.eye(3), np.array([0.02 * finger, 0.0, 0.1])
        for bone in range(4):
            joints[1 + 4 * finger + bone] = place
            turn = turn @ exp_so3([angle, 0, 0])
            place = place + turn @ [0, 0, 0.03]
    hand: Any = SimpleNamespace(joints=joints)
    curl = curls(hand)["index"]
    assert 0 <= curl <= 1
    assert (curl < 0.05) if angle < 0.2 else (curl > 0.02)
    assert (curl > 0.8) if angle > 1.35 else True


def test_webxr_joints_are_named_and_placed_as_webxr_has_them(make_result: MakeResult) -> None:
    result = make_result(0)
    frame = webxr_frame(result)
    assert len(WEBXR_JOINTS) == 25
    assert WEBXR_JOINTS[:3] == ("wrist", "thumb-metacarpal", "thumb-phalanx-proximal")
    assert WEBXR_JOINTS[-1] == "pinky-finger-tip"
    assert [hand["handedness"] for hand in frame["hands"]] == ["right", "left"]
    for hand, given_ in zip(result.hands, frame["hands"], strict=True):
        joints = given_["joints"]
        np.testing.assert_allclose(joints["index-finger-tip"]["position"], hand.joints[8] * [1, -1, -1], atol=1e-4)
        knuckle, tip = (np.array(joints[f"index-finger-{part}"]["position"]) for part in ("phalanx-distal", "tip"))
        z = matrix(joints["index-finger-phalanx-distal"]["orientation"])[:, 2]
        np.testing.assert_allclose(-z, (tip - knuckle) / np.linalg.norm(tip - knuckle), atol=1e-3)
        assert 0.002 < joints["wrist"]["radius"] < 0.05
