"""The ROS 2 node, against a stand-in of rclpy whose messages are those of rosbags' types: ROS itself was not here.

The stand-in's messages have the fields, and no others, that the types have in ROS 2 Jazzy; what the node publishes is
serialized as ROS would, and read back.
"""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hamba_core.errors import DependencyError
from stages.packets import FrameResult
from viewers.client import HandClient
from viewers.robots.ros import RosNode

pytest.importorskip("rosbags", reason="needs rosbags: pip install 'hamba-stream[ros]'")

MakeStage = Callable[..., Any]
MakeResult = Callable[..., FrameResult]


class StandIn:
    """rclpy as far as the node uses it, and the message packages."""

    def __init__(self) -> None:
        from rosbags.typesys import Stores, get_typestore

        self.store = get_typestore(Stores.ROS2_JAZZY)
        self.topics: dict[str, tuple[str, Any]] = {}
        self.sent: list[tuple[str, Any]] = []
        self.alive = False
        self.without: set[str] = set()  # fields that this ROS does not have

    def modules(self) -> dict[str, ModuleType]:
        def start() -> None:
            self.alive = True

        def stop() -> None:
            self.alive = False

        rclpy: Any = ModuleType("rclpy")
        rclpy.init, rclpy.ok, rclpy.shutdown = start, lambda: self.alive, stop
        rclpy.create_node = lambda name: SimpleNamespace(
            create_publisher=self._publisher, destroy_node=lambda: self.topics.clear()
        )
        rclpy.spin_once = lambda node, timeout_sec: None
        qos: Any = ModuleType("rclpy.qos")
        qos.QoSProfile = lambda **given: SimpleNamespace(**given)
        qos.ReliabilityPolicy = SimpleNamespace(RELIABLE="reliable", BEST_EFFORT="best effort")
        qos.DurabilityPolicy = SimpleNamespace(VOLATILE="volatile")
        found = {"rclpy": rclpy, "rclpy.qos": qos}
        for name in self.store.fielddefs:
            package, _, kind = name.split("/")
            module: Any = found.setdefault(f"{package}.msg", ModuleType(f"{package}.msg"))
            found.setdefault(package, ModuleType(package))
            setattr(module, kind, self._message_type(name))
        return found

    def _message_type(self, name: str) -> Any:
        _, fields = self.store.fielddefs[name]
        known = {field for field, _ in fields} - self.without

        class Message:
            __slots__ = (*known,)
            ros_type_ = name

            def __init__(self, **given: Any) -> None:
                for field in known:
                    setattr(self, field, given.pop(field, None))
                assert not given

        return Message

    def _publisher(self, kind: Any, topic: str, qos: Any) -> Any:
        self.topics[topic] = (kind.ros_type_, qos)
        return SimpleNamespace(publish=lambda message: self.sent.append((topic, message)))

    def read_back(self, message: Any) -> Any:
        """Serialize as ROS does, and read."""
        kind = message.ros_type_
        return self.store.deserialize_cdr(self.store.serialize_cdr(self._typed(message), kind), kind)

    def _typed(self, message: Any) -> Any:
        from rosbags.interfaces import Nodetype

        _, fields = self.store.fielddefs[message.ros_type_]
        values = {}
        for name, (node, what) in fields:
            value = getattr(message, name)
            if node == Nodetype.NAME:
                value = self._typed(value)
            elif node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
                inner: Any = what[0]
                named = inner[0] == Nodetype.NAME
                texts = inner[1] == "string" or (isinstance(inner[1], tuple) and inner[1][0] == "string")
                kind = inner[1][0] if isinstance(inner[1], tuple) else inner[1]
                if named:
                    value = [self._typed(each) for each in value]
                elif not texts:
                    value = np.array(value, kind)
            values[name] = value
        return self.store.types[message.ros_type_](**values)


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    for name, module in stand_in.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return stand_in


def followed(node: RosNode, stage: Any, result: FrameResult, until: Callable[..., None]) -> None:
    before = node.published

    def came() -> bool:
        stage.show(result)
        node.step()
        return node.published > before and node.client.model is not None

    until(came)


def test_the_node_publishes_what_the_types_take(
    ros: StandIn, make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
) -> None:
    stage, result = make_stage(), make_result(0)
    with HandClient(stage.address) as client:
        node = RosNode(client, parent="head_camera")
        followed(node, stage, result, until)
        assert ros.topics["/tf"][1].reliability == "reliable"
        assert ros.topics["/hands/right/joints"][0] == "geometry_msgs/msg/PoseArray"
        assert ros.topics["/hands/right/joints"][1].reliability == "best effort"
        newest = {topic: ros.read_back(message) for topic, message in ros.sent}
        assert set(newest) == set(ros.topics)
        array = newest["/hands/right/joints"]
        assert array.header.frame_id == "head_camera"
        places = [[pose.position.x, pose.position.y, pose.position.z] for pose in array.poses]
        np.testing.assert_allclose(places, result.hands[0].joints, atol=1e-6)
        newest_frame = client.newest
        assert newest_frame is not None
        captured = newest_frame.result.frame.captured_ns - newest_frame.clock.monotonic_ns + newest_frame.clock.unix_ns
        stamps = [
            m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for t, m in ros.sent if t.endswith("right/joints")
        ]
        assert stamps[-1] == captured
        assert len(newest["/tf"].transforms) == 42
        assert len(newest["/hands/left/mesh"].points) > 3000
        # The hands go, and so do their meshes.
        followed(node, stage, make_result(0, ()), until)
        last = {topic: message for topic, message in ros.sent if topic.endswith("mesh")}
        assert {message.action for message in last.values()} == {2}
        assert node.going
        node.close()
        assert not node.going


def test_a_robots_joint_states_are_published(
    ros: StandIn, make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
) -> None:
    pytest.importorskip("dexi_rs", reason="needs dexi-rs: pip install 'hamba-stream[robots]'")
    from viewers.robots.retarget import Retargeter, known_hand

    stage = make_stage()
    retargeter = Retargeter((known_hand("leap", "right"),))
    with HandClient(stage.address) as client:
        node = RosNode(client, mesh=False, retargeter=retargeter)
        followed(node, stage, make_result(0), until)
        node.close()
    found = {topic: ros.read_back(message) for topic, message in ros.sent}
    assert not [topic for topic in found if "mesh" in topic]
    state = found["/hands/right/joint_states"]
    assert tuple(state.name) == retargeter.names("right")
    assert len(state.position) == 16


def test_fields_that_an_older_ros_lacks_are_left_out(
    monkeypatch: pytest.MonkeyPatch, make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
) -> None:
    older = StandIn()
    older.without = {"texture", "texture_resource", "uv_coordinates", "mesh_file"}
    for name, module in older.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    stage = make_stage()
    with HandClient(stage.address) as client:
        node = RosNode(client)
        followed(node, stage, make_result(0), until)
        node.close()
    assert next(message for topic, message in older.sent if topic.endswith("mesh")).points


def test_without_ros_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with HandClient("tcp://127.0.0.1:5999") as client, pytest.raises(DependencyError, match="source it first"):
        RosNode(client)


def test_the_command_publishes_until_ros_ends(
    ros: StandIn, make_stage: MakeStage, make_result: MakeResult, capsys: pytest.CaptureFixture[str]
) -> None:
    from threading import Event, Thread

    from pipeline.commands.cli import app
    from pipeline.terminal import run_app

    stage, result, over = make_stage(), make_result(0), Event()

    def publish() -> None:
        while not over.wait(0.02):
            stage.show(result)
            if sum(topic == "/hands/right/joints" for topic, _ in list(ros.sent)) >= 3:
                ros.alive = False  # as Ctrl-C does in ROS

    publisher = Thread(target=publish)
    publisher.start()
    try:
        assert run_app(app, ["ros", stage.address, "--parent", "arm_camera", "--no-mesh"]) == 0
    finally:
        over.set()
        publisher.join()
    assert not [topic for topic, _ in ros.sent if "mesh" in topic]
    parents = {
        transform.header.frame_id
        for topic, message in ros.sent
        if topic == "/tf"
        for transform in message.transforms
        if transform.child_frame_id.endswith("wrist")
    }
    assert parents == {"arm_camera"}
    assert "Traceback" not in capsys.readouterr().err
