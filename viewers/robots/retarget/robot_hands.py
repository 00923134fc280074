"""Which robot hands there are: the file that describes each, and what of it follows what of a person's hand.

The known hands' descriptions come with dexi-rs; another hand's comes as a URDF and a configuration, in the YAML of
dex-retargeting (type vector or DexPilot). All descriptions have the same axes at their root: z along the fingers, x out
of the palm, y to the thumb of a right hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

from hamba_core.errors import ConfigurationError
from hamba_core.hand import Side
from hamba_core.packages import needed_for

Method = Literal["vector", "dexpilot"]
METHODS: Final[tuple[Method, Method]] = ("vector", "dexpilot")

_TIPS: Final = (4, 8, 12, 16, 20)  # a person's, thumb first


@dataclass(frozen=True)
class RobotHand:
    """A robot's hand of one side, and what follows a person's."""

    name: str
    side: Side
    urdf: Path
    wrist: str  # the link that stands for the wrist
    tips: tuple[str, ...]  # links of fingertips, thumb first
    scaling: float | None = None  # how much larger than a person's hand it counts; none: as far as both reach
    joints: tuple[str, ...] | None = None  # that retargeting moves; none: all
    others: tuple[tuple[str, int], ...] = ()  # more links, and the person's joint that each follows, beside the tips
    human_tips: tuple[int, ...] = _TIPS  # the person's joints that the tips follow
    method: Method = "dexpilot"  # how it is solved, unless somebody wants it otherwise

    @property
    def pairs(self) -> tuple[tuple[str, int], ...]:
        """Links and the person's joints that they follow, both from the wrist."""
        return (*zip(self.tips, self.human_tips, strict=True), *self.others)


_LEAP_TIPS: Final = ("thumb_tip_head", "index_tip_head", "middle_tip_head", "ring_tip_head")
_FIVE_TIPS: Final = ("thumb_tip", "index_tip", "middle_tip", "ring_tip", "pinky_tip")
_SHADOW_TIPS: Final = ("thtip", "fftip", "mftip", "rftip", "lftip")
_SHADOW_MIDDLES: Final = (("thmiddle", 2), ("ffmiddle", 6), ("mfmiddle", 10), ("rfmiddle", 14), ("lfmiddle", 18))
_SHADOW_JOINTS: Final = tuple(
    f"{finger}J{number}"
    for finger, count in (("FF", 4), ("MF", 4), ("RF", 4), ("LF", 5), ("TH", 5))
    for number in range(count, 0, -1)
)
"""All but those of the wrist, which is the arm's."""
_SVH_JOINTS: Final = (
    "Thumb_Opposition", "Thumb_Flexion", "Index_Finger_Proximal", "Index_Finger_Distal", "Finger_Spread", "Pinky",
    "Ring_Finger", "Middle_Finger_Proximal", "Middle_Finger_Distal",
)  # fmt: skip
_INSPIRE_JOINTS: Final = (
    "pinky_proximal_joint", "ring_proximal_joint", "middle_proximal_joint", "index_proximal_joint",
    "thumb_proximal_pitch_joint", "thumb_proximal_yaw_joint",
)  # fmt: skip
_ABILITY_JOINTS: Final = ("thumb_q1", "thumb_q2", "index_q1", "middle_q1", "pinky_q1", "ring_q1")

ROBOTS: Final = ("ability", "allegro", "inspire", "leap", "shadow", "svh")
"""Names of known hands."""


def known_hand(name: str, side: Side) -> RobotHand:
    """Return a known hand. Raises ConfigurationError, which names the nearest one; DependencyError without dexi-rs."""
    if name not in ROBOTS:
        near = get_close_matches(name.lower(), ROBOTS, n=1)
        raise ConfigurationError(
            f"--robot {name}: expected one of {', '.join(ROBOTS)}, or a file of yours, found another name"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    right = side == "right"
    match name:
        case "allegro":
            # Its links are numbered in the order of space, so that a left hand's index finger is a right one's ring.
            fingers = ("3", "7", "11") if right else ("11", "7", "3")
            tips = tuple(f"link_{number}.0_tip" for number in ("15", *fingers))
            return _hand(name, side, "allegro_hand/allegro_hand", "wrist", tips)
        case "leap":
            return _hand(name, side, "leap_hand/leap_hand", "base", _LEAP_TIPS)
        case "inspire":
            return _hand(name, side, "inspire_hand/inspire_hand", "base", _FIVE_TIPS, _INSPIRE_JOINTS)
        case "ability":
            return _hand(name, side, "ability_hand/ability_hand", "base_link", _FIVE_TIPS, _ABILITY_JOINTS)
        case "shadow":
            hand = _hand(name, side, "shadow_hand/shadow_hand", "palm", _SHADOW_TIPS, _SHADOW_JOINTS)
            return replace(hand, others=_SHADOW_MIDDLES)
    joints = tuple(f"{side}_hand_{joint}" for joint in _SVH_JOINTS)
    return _hand(name, side, "schunk_hand/schunk_svh_hand", f"{side}_hand_base_link", _SHADOW_TIPS, joints)


def _hand(
    name: str, side: Side, file: str, wrist: str, tips: tuple[str, ...], joints: tuple[str, ...] | None = None
) -> RobotHand:
    urdf = assets() / f"{file}_{side}.urdf"
    return RobotHand(name, side, urdf, wrist, tips, None, joints, human_tips=_TIPS[: len(tips)])


def assets() -> Path:
    """Return the folder of the descriptions that come with dexi-rs. Raises DependencyError."""
    with needed_for("retargeting"):
        import dexi_rs
    return Path(dexi_rs.asset_path("robots/hands"))


def robot_hand(robot: str, side: Side, config: Path | None = None) -> RobotHand:
    """Return the hand that `--robot` and `--config` name, of this side.

    `robot` is a known name; a configuration (.yml, .yaml), whose URDF is found from its own folder; or a URDF, with
    its configuration beside. `{side}` in a path becomes left or right. Raises ConfigurationError, DependencyError.
    """
    path = Path(robot.replace("{side}", side))
    suffix = path.suffix.lower()
    if suffix not in (".urdf", ".yml", ".yaml"):
        if config is not None:
            raise ConfigurationError(f"--config: expected --robot FILE.urdf beside it, found --robot {robot}")
        return known_hand(robot, side)
    if suffix == ".urdf":
        if config is None:
            raise ConfigurationError(
                f"--robot {robot}: expected --config beside a URDF, which tells what its links stand for, found none"
            )
        configured = _configured(Path(str(config).replace("{side}", side)), side, path)
        return replace(configured, name=_name_of(str(config)))
    return replace(_configured(path, side, None), name=_name_of(robot))


def _name_of(template: str) -> str:
    """Return the name of a robot by its configuration's, of both sides the same."""
    return Path(template.replace("{side}", "")).stem.strip("_-. ") or "robot"


def _configured(path: Path, side: Side, urdf: Path | None) -> RobotHand:
    """Read a configuration as dex-retargeting has them."""
    from hamba_core.untrusted import DocumentError, parse_yaml, read_text

    try:
        tree = parse_yaml(read_text(path))
    except (OSError, DocumentError) as error:
        found = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: expected a configuration in YAML, found: {found}") from error
    fields = tree.get("retargeting", tree) if isinstance(tree, Mapping) else None
    if not isinstance(fields, Mapping):
        raise ConfigurationError(f"{path}: expected fields, as in target_task_link_names, found {type(tree).__name__}")
    if urdf is None:
        urdf = path.parent / _text(path, fields, "urdf_path").replace("{side}", side)
    joints = _texts(path, fields, "target_joint_names") if fields.get("target_joint_names") is not None else None
    scaling = fields.get("scaling_factor")
    if scaling is not None and not (type(scaling) in (int, float) and 0.05 <= scaling <= 20):
        raise ConfigurationError(f"{path}: scaling_factor: expected a number from 0.05 to 20, found {scaling!r}")
    wrist, pairs = _pairs(path, fields)
    tips = sorted((human, link) for link, human in pairs if human in _TIPS)
    if len(tips) < 2 or tips[0][0] != 4:
        raise ConfigurationError(
            f"{path}: expected links that follow the tips of thumb (4) and a finger, found {pairs}"
        )
    others = tuple((link, human) for link, human in pairs if human not in _TIPS)
    return RobotHand(
        path.stem, side, urdf, wrist, tuple(link for _, link in tips), scaling and float(scaling), joints, others,
        tuple(human for human, _ in tips), "dexpilot" if str(fields.get("type")).lower() == "dexpilot" else "vector",
    )  # fmt: skip


def _pairs(path: Path, fields: Mapping[str, Any]) -> tuple[str, list[tuple[str, int]]]:
    """Return the wrist's link, and which links follow which of a person's joints."""
    kind = str(fields.get("type", "")).lower()
    if kind == "dexpilot":
        tips = _texts(path, fields, "finger_tip_link_names")
        if not 2 <= len(tips) <= 5:
            raise ConfigurationError(f"{path}: finger_tip_link_names: expected 2 to 5 links, found {len(tips)}")
        return _text(path, fields, "wrist_link_name"), list(zip(tips, _TIPS[: len(tips)], strict=True))
    if kind != "vector":
        raise ConfigurationError(f"{path}: type: expected vector or DexPilot, found {fields.get('type')!r}")
    origins, links = (_texts(path, fields, f"target_{end}_link_names") for end in ("origin", "task"))
    given: Any = fields.get("target_link_human_indices")
    whole = isinstance(given, Sequence) and len(given) == 2 and all(isinstance(row, Sequence) for row in given)
    if not whole or not len(origins) == len(links) == len(given[0]) == len(given[1]):
        raise ConfigurationError(
            f"{path}: target_link_human_indices: expected two lists, as long as target_origin_link_names and "
            f"target_task_link_names, found {given!r}"
        )
    good = all(type(number) is int and 0 < number < 21 for number in given[1])
    if not good or any(number != 0 for number in given[0]) or len(set(origins)) != 1:
        raise ConfigurationError(
            f"{path}: expected vectors from one link, the wrist (0), to links that follow joints 1 to 20, found others"
        )
    return origins[0], list(zip(links, given[1], strict=True))


def _text(path: Path, fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{path}: {name}: expected a text, found {value!r}")
    return value.strip()


def _texts(path: Path, fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ConfigurationError(f"{path}: {name}: expected a list of names, found {value!r}")
    return tuple(value)
