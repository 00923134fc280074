"""A ROS 2 node that publishes hands as `stages.ros` describes them. It needs a sourced ROS 2, and nothing else of it.

Hands and meshes are sent as sensor data (best effort, the newest five), transforms as tf does (reliable).
"""

from importlib import import_module
from typing import Any

import numpy as np

from hamba_core.errors import DependencyError
from hamba_core.hand import Side
from stages.packets import FrameResult, Hand
from stages.ros import RosNames, RosPoints, RosTopic, RosValue, joint_state, messages_of, topics_of
from stages.wire import HandsMessage
from viewers.client import HandClient
from viewers.robots.retarget import Retargeter

_TF_DEPTH, _SENSOR_DEPTH = 100, 5


class RosNode:
    """Publishes what a client receives. Call `step` in a loop; `close` at the end. Raises DependencyError without ROS.

    `retargeter` also gives joint states of its robots. Time stamps are those of capture, in Unix time, which is the
    clock of ROS unless it runs on simulated time.
    """

    def __init__(
        self,
        client: HandClient,
        *,
        parent: str = "",
        world: str = "world",
        mesh: bool = True,
        retargeter: Retargeter | None = None,
    ) -> None:
        try:
            self._rclpy = import_module("rclpy")
            self._qos = import_module("rclpy.qos")
        except ImportError as error:
            raise DependencyError(
                f"hamba ros needs a ROS 2 whose Python is this one, found: {error}; source it first, as in "
                "`source /opt/ros/jazzy/setup.bash`, and install hamba-stream where that Python sees it. "
                "Without ROS, hamba export --to rosbag writes bags"
            ) from error
        self.client = client
        self.published = 0
        self._parent, self._world, self._mesh, self._retargeter = parent, world, mesh, retargeter
        self._types: dict[str, Any] = {}
        self._publishers: dict[str, Any] = {}
        self._there: dict[str, dict[Side, Hand]] = {}
        self._rclpy.init()
        self._node = self._rclpy.create_node("hamba")

    @property
    def going(self) -> bool:
        """Whether ROS goes on."""
        return bool(self._rclpy.ok())

    def step(self, timeout: float = 0.05) -> HandsMessage | None:
        """Publish the newest hands, if some came in `timeout` s, and return them."""
        message = self.client.latest(timeout)
        if message is not None:
            self._publish(message)
        self._rclpy.spin_once(self._node, timeout_sec=0.0)
        return message

    def close(self) -> None:
        """Leave ROS."""
        self._node.destroy_node()
        if self._rclpy.ok():
            self._rclpy.shutdown()

    def _publish(self, message: HandsMessage) -> None:
        result, clock = message.result, message.clock
        names = RosNames(result.frame.stream, self._parent, self._world)
        self._advertise(names)
        stamp = result.frame.captured_ns - clock.monotonic_ns + clock.unix_ns
        model = self.client.model
        topology = model.topology if self._mesh and model is not None else None
        for topic, value in messages_of(result, topology, names, stamp, self._gone_hands(result)):
            self._send(topic, value)
        if self._retargeter is not None:
            frame = self._retargeter.step(result)
            for hand in frame.hands:
                if hand.state != "waiting":
                    joints = self._retargeter.names(hand.side)
                    state = joint_state(joints, hand.positions, hand.velocities, names.frame, stamp)
                    self._send(names.topic(f"{hand.side}/joint_states"), state)
        self.published += 1

    def _gone_hands(self, result: FrameResult) -> list[Hand]:
        """Return the hands that were there in this stream's frame before."""
        now = {hand.side: hand for hand in result.hands}
        before = self._there.get(result.frame.stream, {})
        self._there[result.frame.stream] = now
        return [hand for side, hand in before.items() if side not in now]

    def _advertise(self, names: RosNames) -> None:
        for topic in topics_of(names, mesh=self._mesh, robot=self._retargeter is not None):
            if topic.name not in self._publishers:
                kind = self._type(topic.type)
                self._publishers[topic.name] = self._node.create_publisher(kind, topic.name, self._profile(topic))

    def _profile(self, topic: RosTopic) -> Any:
        policy = self._qos.ReliabilityPolicy
        return self._qos.QoSProfile(
            depth=_TF_DEPTH if topic.reliable else _SENSOR_DEPTH,
            reliability=policy.RELIABLE if topic.reliable else policy.BEST_EFFORT,
            durability=self._qos.DurabilityPolicy.VOLATILE,
        )

    def _send(self, topic: str, value: RosValue) -> None:
        self._publishers[topic].publish(self._message(value))

    def _type(self, name: str) -> Any:
        if name not in self._types:
            package, _, kind = name.split("/")
            try:
                self._types[name] = getattr(import_module(f"{package}.msg"), kind)
            except (ImportError, AttributeError) as error:
                raise DependencyError(
                    f"hamba ros: expected the message {name}, found: {error}; "
                    f"install its package, as ros-jazzy-{package.replace('_', '-')}"
                ) from error
        return self._types[name]

    def _message(self, value: RosValue) -> Any:
        """Return a value as a message of ROS, without empty fields that an older ROS does not have."""
        message = self._type(value.type)()
        for name, field in value.fields.items():
            if not hasattr(message, name) and _is_empty(field):
                continue
            setattr(message, name, self._field(field))
        return message

    def _field(self, field: Any) -> Any:
        if isinstance(field, RosValue):
            return self._message(field)
        if isinstance(field, RosPoints):
            point = self._type("geometry_msgs/msg/Point")
            return [point(x=x, y=y, z=z) for x, y, z in field.rows.tolist()]
        if isinstance(field, list):
            return [self._field(each) for each in field]
        return field.tolist() if isinstance(field, np.ndarray) else field


def _is_empty(field: Any) -> bool:
    if isinstance(field, RosValue):
        return all(_is_empty(each) for each in field.fields.values())
    return len(field) == 0 if isinstance(field, list | str | np.ndarray) else not field
