"""The wire format: what goes in comes out, and what is wrong is refused with words."""

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from hamba_core.errors import WireError
from hamba_core.view import Intrinsics
from stages import wire
from stages.packets import (
    Choice,
    ClockAnchor,
    FrameMeta,
    FrameResult,
    Hand,
    HandTopology,
    Percentiles,
    SourceStatus,
    StageStatus,
    Status,
)

SMALL_JPEG = b"\xff\xd8\xff\xc0\0\x0b\x08\0\x30\0\x40\x01\x01\x11\0"
"""The beginning of a picture of 64x48."""
CLOCK = ClockAnchor(123, 1_700_000_000_000_000_000)
STREAMS = st.from_regex(r"[A-Za-z0-9_.\-]{1,64}", fullmatch=True)
COUNTS = st.integers(0, 2**53)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(1e-3, 1e9)
OFFSET = st.floats(-1e9, 1e9)
HAND_ARRAYS = {
    "box": (4,), "global_orient": (3, 3), "hand_pose": (15, 3, 3), "betas": (10,), "translation": (3,),
    "joints": (21, 3), "joints_2d": (21, 2),
}  # fmt: skip


def singles(*shape: int) -> st.SearchStrategy[Any]:
    return arrays(np.float32, shape, elements=st.floats(-1e6, 1e6, width=32))


@st.composite
def hands(draw: st.DrawFn) -> Hand:
    return Hand(
        track_id=draw(COUNTS),
        side=draw(st.sampled_from(("left", "right"))),
        score=draw(st.floats(0, 1)),
        vertices=draw(st.integers(0, 12).flatmap(lambda n: singles(n, 3))),
        **{name: draw(singles(*shape)) for name, shape in HAND_ARRAYS.items()},
    )


@st.composite
def frames(draw: st.DrawFn) -> FrameMeta:
    camera = Intrinsics(draw(POSITIVE), draw(POSITIVE), draw(OFFSET), draw(OFFSET), draw(st.booleans()))
    size = st.integers(1, 20_000)
    return FrameMeta(draw(STREAMS), draw(COUNTS), draw(OFFSET), draw(COUNTS), draw(size), draw(size), camera)


@st.composite
def hands_messages(draw: st.DrawFn) -> wire.HandsMessage:
    times = draw(st.dictionaries(st.text(max_size=8), COUNTS, max_size=3))
    result = FrameResult(draw(frames()), tuple(draw(st.lists(hands(), max_size=2))), times)
    return wire.HandsMessage(draw(COUNTS), result, draw(COUNTS), ClockAnchor(draw(COUNTS), draw(COUNTS)))


def percentiles() -> st.SearchStrategy[Percentiles]:
    return st.builds(Percentiles, FINITE, FINITE, FINITE)


def statuses() -> st.SearchStrategy[Status]:
    text, counted = st.text(max_size=12), st.dictionaries(st.text(max_size=8), COUNTS, max_size=3)
    stage = st.builds(
        StageStatus, text, COUNTS, COUNTS, counted, COUNTS, percentiles(), COUNTS, COUNTS, COUNTS
    )  # fmt: skip
    return st.builds(
        Status,
        stream=STREAMS,
        state=st.sampled_from(("running", "ended", "stopped", "failed")),
        reason=text,
        elapsed=FINITE,
        frames=COUNTS,
        hands=COUNTS,
        rate=FINITE,
        latency=percentiles(),
        stages=st.lists(stage, max_size=3).map(tuple),
        choices=st.lists(st.builds(Choice, text, text, text, st.booleans()), max_size=2).map(tuple),
        errors=counted,
    )


def assert_same_hand(one: Hand, other: Hand, *, vertices: float = 0) -> None:
    assert (one.track_id, one.side, one.score) == (other.track_id, other.side, other.score)
    for name in HAND_ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    np.testing.assert_allclose(one.vertices, other.vertices, rtol=vertices, atol=0)


def content_of(message: wire.Message) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.msgpack.decode(wire.encode_map(message))
    return content


@given(hands_messages())
def test_hands_come_out_as_they_went_in(message: wire.HandsMessage) -> None:
    got = wire.decode(wire.encode(message))
    assert isinstance(got, wire.HandsMessage)
    assert (got.seq, got.published_ns, got.clock) == (message.seq, message.published_ns, message.clock)
    meta = ("stream", "index", "pts", "captured_ns", "width", "height", "camera")
    for name in meta:
        assert getattr(got.result.frame, name) == getattr(message.result.frame, name)
    assert got.result.stage_ns == message.result.stage_ns
    for one, other in zip(got.result.hands, message.result.hands, strict=True):
        assert_same_hand(one, other)


@given(hands())
def test_half_precision_vertices_keep_eleven_bits_and_nothing_else_changes(hand: Hand) -> None:
    hand = replace(hand, vertices=np.clip(hand.vertices, -60_000, 60_000))
    hand = replace(hand, vertices=np.where(np.abs(hand.vertices) < 1e-4, 0, hand.vertices))  # half's subnormals
    message = with_hands(hand)
    got = wire.decode(wire.encode(message, "float16"))
    assert isinstance(got, wire.HandsMessage)
    assert_same_hand(got.result.hands[0], hand, vertices=2**-11)


def test_half_precision_is_off_by_at_most_a_quarter_of_a_millimetre_nearer_than_a_metre() -> None:
    hand = replace(make_flat_hand(), vertices=np.random.default_rng(0).uniform(-1, 1, (1000, 3)).astype(np.float32))
    got = wire.decode(wire.encode(with_hands(hand), "float16"))
    assert isinstance(got, wire.HandsMessage)
    assert np.abs(got.result.hands[0].vertices - hand.vertices).max() <= 0.25e-3


def test_vertices_can_be_left_out() -> None:
    message = with_hands(make_flat_hand())
    content = msgspec.msgpack.decode(wire.encode_map(message, "none"))
    assert "vertices" not in content["hands"][0]
    got = wire.decode(wire.encode(message, "none"))
    assert isinstance(got, wire.HandsMessage)
    assert got.result.hands[0].vertices.shape == (0, 3)
    np.testing.assert_array_equal(got.result.hands[0].joints, message.result.hands[0].joints)


@pytest.mark.parametrize("count", [4, 2**16, 2**16 + 1])
def test_a_model_comes_out_as_it_went_in(count: int) -> None:
    faces = np.array([[0, 1, 2], [1, 2, count - 1]], np.int32)
    message = wire.ModelMessage("a", HandTopology("m", count, faces, faces[:, ::-1]), "hamba", {"x": "1"}, 5, CLOCK)
    assert content_of(message)["faces_left"]["t"] == ("<u2" if count <= 2**16 else "<u4")
    got = wire.decode(wire.encode(message))
    assert isinstance(got, wire.ModelMessage)
    assert (got.stream, got.estimator, got.versions, got.published_ns) == ("a", "hamba", {"x": "1"}, 5)
    for name in ("name", "vertices", "joint_names", "joint_parents"):
        assert getattr(got.topology, name) == getattr(message.topology, name)
    np.testing.assert_array_equal(got.topology.faces_right, faces)
    np.testing.assert_array_equal(got.topology.faces_left, faces[:, ::-1])


@given(statuses())
def test_a_status_comes_out_as_it_went_in(status: Status) -> None:
    message = wire.StatusMessage(status, 9, CLOCK)
    assert wire.decode(wire.encode(message)) == message


def test_what_was_not_measured_is_nil_on_the_wire_and_nan_in_python() -> None:
    nothing = Percentiles(math.nan, math.nan, math.nan)
    status = Status("hands", "running", "", 0.0, 0, 0, math.nan, nothing, (), (), {})
    message = wire.StatusMessage(status, 9, CLOCK)
    assert content_of(message)["latency"] == {"p50": None, "p95": None, "p99": None}
    got = wire.decode(wire.encode(message))
    assert isinstance(got, wire.StatusMessage)
    assert math.isnan(got.status.latency.p99)
    assert math.isnan(got.status.rate)


def test_the_state_of_a_live_source_travels_with_the_status_and_may_be_absent() -> None:
    nothing = Percentiles(1.0, 1.0, 1.0)
    source = SourceStatus("stalled", 2.5, "", 3.25, "sender reports", {"stalls": 1})
    status = Status("hands", "running", "", 0.0, 0, 0, 30.0, nothing, (), (), {}, source=source)
    message = wire.StatusMessage(status, 9, CLOCK)
    assert wire.decode(wire.encode(message)) == message
    assert content_of(message)["source"]["state"] == "stalled"
    assert "source" not in content_of(wire.StatusMessage(replace(status, source=None), 9, CLOCK))
    young = replace(status, source=replace(source, age=math.nan))
    got = wire.decode(wire.encode(wire.StatusMessage(young, 9, CLOCK)))
    assert isinstance(got, wire.StatusMessage)
    assert got.status.source is not None
    assert math.isnan(got.status.source.age)


@given(frames(), st.binary(max_size=50))
def test_how_the_time_of_capture_is_known_travels_with_a_frame(frame: FrameMeta, data: bytes) -> None:
    for how in ("", "sender reports"):
        given_frame = replace(frame, captured_by=how)
        got = wire.decode(wire.encode(wire.ImageMessage(given_frame, SMALL_JPEG + data, 7, CLOCK)))
        assert isinstance(got, wire.ImageMessage)
        assert got.frame.captured_by == how


@given(frames(), st.binary(max_size=50))
def test_a_picture_comes_out_as_it_went_in(frame: FrameMeta, data: bytes) -> None:
    message = wire.ImageMessage(frame, SMALL_JPEG + data, 7, CLOCK)
    got = wire.decode(wire.encode(message))
    assert isinstance(got, wire.ImageMessage)
    assert (got.jpeg, got.frame.index, got.frame.camera) == (message.jpeg, frame.index, frame.camera)


def test_numpy_numbers_travel_as_numbers() -> None:
    hand = replace(make_flat_hand(), track_id=np.int64(7), score=np.float32(0.5))  # type: ignore[arg-type]
    got = wire.decode(wire.encode(with_hands(hand)))
    assert isinstance(got, wire.HandsMessage)
    assert (got.result.hands[0].track_id, got.result.hands[0].score) == (7, 0.5)


def test_fields_that_are_not_known_are_ignored() -> None:
    content = content_of(with_hands(make_flat_hand()))
    content["mood"] = {"deep": [1, {"er": b"x"}]}
    content["hands"][0]["rings"] = 2
    content["hands"][0]["joints"]["unit"] = "m"
    got = wire.decode(b"hands/s\0" + msgspec.msgpack.encode(content))
    assert isinstance(got, wire.HandsMessage)
    assert len(got.result.hands) == 1


@pytest.mark.parametrize("change", [lambda c: None, lambda c: c.pop("hands"), lambda c: c.update(seq="seven")])
def test_a_newer_version_is_refused_by_its_number_whatever_else_is_in_it(change: Callable[[Any], object]) -> None:
    content = content_of(with_hands(make_flat_hand()))
    content["v"] = wire.VERSION + 1
    change(content)
    with pytest.raises(WireError, match="expected version 1 to 3, found 4; update"):
        wire.decode(b"hands/s\0" + msgspec.msgpack.encode(content))


def nan_joints(content: dict[str, Any]) -> None:
    content["hands"][0]["joints"]["b"] = np.full(63, np.nan, "<f4").tobytes()


def lying_shape(content: dict[str, Any]) -> None:
    content["hands"][0]["vertices"]["s"] = [2**40, 3]


def set_in(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("camera"), "missing required field `camera`"),
        (set_in("seq", value=-1), "Expected `int` >= 0"),
        (set_in("frame", "width", value=0), "Expected `int` >= 1"),
        (set_in("frame", "pts", value=math.inf), "Expected `float` <= 1000000000.0"),
        (set_in("frame", "pts", value=math.nan), "pts"),
        (set_in("camera", "fx", value=-1.0), "Expected `float` >= 0.001"),
        (set_in("hands", 0, "side", value="Left"), "Invalid enum value 'Left'"),
        (set_in("hands", 0, "score", value=2.0), "expected 0..1, found 2.0"),
        (set_in("hands", 0, "box", value=[1, 2, 3, 4]), "Expected `object`, got `array`"),
        (
            set_in("hands", 0, "box", "t", value="|O8"),
            r"hands\[0\].box: expected an array of <f4, <f2, <f8, found '\|O8'",
        ),
        (set_in("hands", 0, "box", "s", value=[5]), r"hands\[0\].box: expected shape \(4\), found \(5,\)"),
        (set_in("hands", 0, "box", "b", value=b"123"), r"hands\[0\].box: expected 16 bytes for <f4 \(4,\), found 3"),
        (set_in("stream", value="other"), "expected 's' as in the topic, found 'other'"),
        (nan_joints, "Hand.joints: expected finite numbers"),
        (lying_shape, "expected 13194139533312 bytes"),
    ],
)
def test_what_breaks_the_protocol_is_refused_by_name(change: Callable[[Any], object], message: str) -> None:
    content = content_of(with_hands(make_flat_hand()))
    change(content)
    with pytest.raises(WireError, match=message):
        wire.decode(b"hands/s\0" + msgspec.msgpack.encode(content))


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\0", b"hands/s", b"hands/\0\x80", b"hand/s\0\x80", b"hands/a b\0\x80", b"hands/" + b"x" * 65 + b"\0\x80",
        b"hands/s\0", b"hands/s\0\x80", b"hands/s\0\x90", b"hands/s\0\xc1", b"hands/s\0\x81\xa1v", b"hands/\xff\0\x80",
        b"x" * 10_000_000,
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode(message)


def test_bytes_after_the_map_are_refused() -> None:
    with pytest.raises(WireError, match="trailing"):
        wire.decode(wire.encode(with_hands(make_flat_hand())) + b"\x00")


def test_a_message_nested_deeper_than_the_stack_is_refused() -> None:
    content = wire.encode_map(with_hands(make_flat_hand()))
    deep = bytes([content[0] + 1]) + b"\xa1x" + b"\x91" * 1_000_000 + b"\xc0" + content[1:]
    with pytest.raises(WireError, match="recursion"):
        wire.decode(b"hands/s\0" + deep)


def test_faces_outside_the_mesh_and_circular_skeletons_are_refused() -> None:
    faces = np.array([[0, 1, 2]], np.int32)
    content = content_of(wire.ModelMessage("s", HandTopology("m", 3, faces, faces), "e", {}, 0, CLOCK))
    for change, message in (
        (set_in("vertices", value=2), "expected vertices 0..1"),
        (set_in("joint_parents", value=[21] * 21), "joint_parents: expected -1..20"),
        (set_in("joint_names", value=["wrist"]), "expected 21 each"),
    ):
        wrong = msgspec.msgpack.decode(msgspec.msgpack.encode(content))
        change(wrong)
        with pytest.raises(WireError, match=message):
            wire.decode(b"model/s\0" + msgspec.msgpack.encode(wrong))


def test_each_kind_documents_itself_as_json_schema() -> None:
    for kind, title in zip(wire.KINDS, ("Hands", "Model", "Status", "Image"), strict=True):
        assert {"v", "stream", "published_ns", "clock"} <= set(wire.json_schema(kind)["$defs"][title]["required"])


def test_nothing_heavy_is_imported() -> None:
    program = "import sys, stages.wire; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "cv2", "av", "open3d", "mediapipe", "scipy", "pydantic"} & set(output.split())


def with_hands(*hands: Hand) -> wire.HandsMessage:
    frame = FrameMeta("s", 3, 0.1, 5, 640, 480, Intrinsics(600, 600, 320, 240))
    return wire.HandsMessage(4, FrameResult(frame, hands), 6, CLOCK)


def make_flat_hand() -> Hand:
    arrays: dict[str, Any] = {name: np.ones(shape, np.float32) for name, shape in HAND_ARRAYS.items()}
    return Hand(
        track_id=1,
        side="left",
        score=0.5,
        vertices=np.ones((5, 3), np.float32),
        **arrays,
    )
