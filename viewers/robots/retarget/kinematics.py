"""A robot hand's links and joints, read from its URDF, and where they are at given joint positions.

Only the tree and its limits are read: shapes are for `viewers.robots.retarget.shapes`. https://wiki.ros.org/urdf/XML
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hamba_core.arrays import Array, Int64Array
from hamba_core.errors import ConfigurationError
from hamba_core.hand import exp_so3

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LARGEST_URDF: Final = 8 << 20
"""Bytes of a description that is read."""
_MOVING: Final = ("revolute", "continuous", "prismatic")
_FREE_TURN: Final = np.pi
"""Radians either way, of a joint that turns without end."""
_LARGEST: Final = 1e6
"""Metres and radians, beyond which no number of a hand is."""
_FASTEST: Final = 10.0
"""Radians a second, or metres, of a joint whose URDF does not tell."""


@dataclass(frozen=True, eq=False)
class Joint:
    """A joint of a URDF: it joins two links."""

    name: str
    kind: str
    parent: str
    child: str
    T_parent_joint: Array  # (4, 4)
    axis: Array  # (3,) of unit length
    lower: float  # rad, or m of a prismatic joint
    upper: float
    speed: float  # rad/s or m/s
    mimics: tuple[str, float, float] | None = None  # the joint it follows: name, multiplier, offset


@dataclass(frozen=True, eq=False)
class RobotModel:
    """A tree of links. `positions` of its joints are in the order of `names`."""

    name: str
    path: Path
    joints: tuple[Joint, ...]  # parents before children
    root: str

    @property
    def moving(self) -> tuple[Joint, ...]:
        """Joints that move, those that follow another too."""
        return tuple(joint for joint in self.joints if joint.kind in _MOVING)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the joints that move, those that follow another too."""
        return tuple(joint.name for joint in self.moving)

    @property
    def links(self) -> tuple[str, ...]:
        """Names of all links, the root first."""
        return (self.root, *(joint.child for joint in self.joints))

    def limits(self) -> Array:
        """Return the least and the largest position of the joints, (n, 2)."""
        return np.array([(joint.lower, joint.upper) for joint in self.moving]).reshape(-1, 2)

    def speeds(self) -> Array:
        """Return the highest speeds of the joints, (n,) a second."""
        return np.array([joint.speed for joint in self.moving])

    def free(self) -> Int64Array:
        """Return which of the joints follow no other."""
        return np.flatnonzero([joint.mimics is None for joint in self.moving])

    def coupled(self, positions: Array) -> Array:
        """Return positions (..., n) in which joints that follow another do so."""
        positions = np.array(positions, np.float64)
        places = {name: place for place, name in enumerate(self.names)}
        for place, joint in enumerate(self.moving):
            if joint.mimics is not None:
                leader, multiplier, offset = joint.mimics
                positions[..., place] = multiplier * positions[..., places[leader]] + offset
        return positions

    def link_poses(self, positions: Array, links: Sequence[str] | None = None) -> dict[str, Array]:
        """Return T_root_link (..., 4, 4) of these links, or all, for joint positions (..., n)."""
        positions = np.asarray(positions, np.float64)
        places = {name: place for place, name in enumerate(self.names)}
        poses: dict[str, Array] = {self.root: np.broadcast_to(np.eye(4), (*positions.shape[:-1], 4, 4))}
        wanted = self._needed(links) if links is not None else None
        for joint in self.joints:
            if wanted is not None and joint.child not in wanted:
                continue
            T = poses[joint.parent] @ joint.T_parent_joint
            if joint.kind in _MOVING:
                moved = np.broadcast_to(np.eye(4), T.shape).copy()
                along = joint.axis * positions[..., places[joint.name], None]
                if joint.kind == "prismatic":
                    moved[..., :3, 3] = along
                else:
                    moved[..., :3, :3] = exp_so3(along)
                T = T @ moved
            poses[joint.child] = T
        return poses if links is None else {link: poses[link] for link in links}

    def _needed(self, links: Sequence[str]) -> set[str]:
        parents = {joint.child: joint.parent for joint in self.joints}
        needed = set()
        for link in links:
            while link in parents and link not in needed:
                needed.add(link)
                link = parents[link]
        return needed


def read_urdf(path: Path) -> RobotModel:
    """Read a robot's description. Raises ConfigurationError where it is none, or no tree."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        if path.stat().st_size > LARGEST_URDF:
            raise ConfigurationError(
                f"{path}: expected a URDF of at most {LARGEST_URDF >> 20} MiB, found a larger file"
            )
        root = fromstring(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ParseError, DefusedXmlException) as error:
        found = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: expected a robot's URDF, found: {found}") from error
    if root.tag != "robot":
        raise ConfigurationError(f"{path}: expected a URDF, whose first element is <robot>, found <{root.tag:.40}>")
    try:
        joints = [_joint(element) for element in root.findall("joint")]
        name, links = root.get("name", path.stem), [_named(link, "name") for link in root.findall("link")]
    except (ValueError, KeyError) as error:
        raise ConfigurationError(f"{path}: expected joints as URDF has them, found: {error}") from error
    return RobotModel(name, path, *_in_order(path, joints, links))


def _in_order(path: Path, joints: list[Joint], links: list[str]) -> tuple[tuple[Joint, ...], str]:
    children = {joint.child for joint in joints}
    roots = [link for link in links if link not in children]
    names = {joint.name for joint in joints}
    if len(roots) != 1 or len(children) != len(joints) or len(names) != len(joints):
        raise ConfigurationError(
            f"{path}: expected one tree of links with joints of different names, found {len(roots)} roots, "
            f"{len(joints)} joints to {len(children)} links"
        )
    hanging = defaultdict[str, list[int]](list)
    for number, joint in enumerate(joints):
        hanging[joint.parent].append(number)
    ordered, ready = list[Joint](), hanging[roots[0]]
    while ready:  # all that hang as far from the root, in the order of the file
        ordered += [joints[number] for number in ready]
        ready = sorted(further for number in ready for further in hanging[joints[number].child])
    if apart := names - {joint.name for joint in ordered}:
        raise ConfigurationError(f"{path}: expected joints that hang together, found {min(apart)} apart")
    moving = {joint.name for joint in ordered if joint.kind in _MOVING}
    for joint in ordered:
        if joint.mimics is not None and joint.mimics[0] not in moving - {joint.name}:
            raise ConfigurationError(
                f"{path}: {joint.name} follows {joint.mimics[0]!r}, expected another joint that moves, found none"
            )
    return tuple(ordered), roots[0]


def _joint(element: "Element") -> Joint:
    name, kind = _named(element, "name"), _named(element, "type")
    limit, mimic = element.find("limit"), element.find("mimic")
    axis = three_of(element.find("axis"), "xyz", (1.0, 0.0, 0.0))
    length = float(np.linalg.norm(axis))
    if kind in _MOVING and length == 0:
        raise ValueError(f"joint {name} without an axis")
    lower, upper = -_FREE_TURN, _FREE_TURN
    if kind != "continuous" and limit is not None:
        lower, upper = float(limit.get("lower", "0")), float(limit.get("upper", "0"))
    speed = float(limit.get("velocity", "0")) if limit is not None else 0.0
    if not np.isfinite([lower, upper, speed]).all() or lower > upper:
        raise ValueError(f"joint {name} with limits {lower} to {upper}")
    follows = None
    if mimic is not None:
        follows = _named(mimic, "joint"), float(mimic.get("multiplier", "1")), float(mimic.get("offset", "0"))
        if not (np.abs(follows[1:]) <= _LARGEST).all():
            raise ValueError(f"joint {name} that follows {follows[1]} times another and {follows[2]}")
    ends = [_named(end, "link") if (end := element.find(part)) is not None else "" for part in ("parent", "child")]
    if not all(ends):
        raise ValueError(f"joint {name} without both of its links")
    return Joint(
        name, kind, ends[0], ends[1], transform_of(element.find("origin")), axis / (length or 1.0), lower, upper,
        speed if speed > 0 else _FASTEST, follows,
    )  # fmt: skip


def _named(element: "Element", attribute: str) -> str:
    value = element.get(attribute)
    if not value:
        raise ValueError(f"<{element.tag}> without {attribute}")
    return value


def transform_of(origin: "Element | None") -> Array:
    """Return the matrix (4, 4) of an `<origin>`: moved by `xyz`, turned by roll, pitch and yaw about fixed axes."""
    roll, pitch, yaw = three_of(origin, "rpy", (0.0, 0.0, 0.0))
    T = np.eye(4)
    T[:3, :3] = exp_so3([0, 0, yaw]) @ exp_so3([0, pitch, 0]) @ exp_so3([roll, 0, 0])
    T[:3, 3] = three_of(origin, "xyz", (0.0, 0.0, 0.0))
    return T


def three_of(element: "Element | None", attribute: str, otherwise: tuple[float, float, float]) -> Array:
    """Return the three numbers of an attribute, bounded. Raises ValueError."""
    text = element.get(attribute) if element is not None else None
    values = np.array([float(word) for word in text.split()]) if text else np.array(otherwise)
    if values.shape != (3,) or not (np.abs(values) <= _LARGEST).all():
        raise ValueError(f"{attribute}={text!r}, where three numbers are expected")
    return values
