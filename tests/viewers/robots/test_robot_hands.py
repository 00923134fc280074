"""Robots by name, by configuration and by URDF; what is wrong is told."""

from pathlib import Path

import pytest
import yaml

from hamba_core.errors import ConfigurationError
from viewers.robots.retarget.robot_hands import known_hand, robot_hand
from viewers.robots.retarget.solver import Solver

pytest.importorskip("dexi_rs", reason="needs dexi-rs: pip install 'hamba-stream[robots]'")

VECTOR = {
    "type": "vector",
    "target_origin_link_names": ["base"] * 4,
    "target_task_link_names": ["thumb_tip_head", "index_tip_head", "middle_tip_head", "ring_tip_head"],
    "target_link_human_indices": [[0, 0, 0, 0], [4, 8, 12, 16]],
    "scaling_factor": 1.6,
}
DEXPILOT = {
    "type": "DexPilot",
    "wrist_link_name": "base",
    "finger_tip_link_names": VECTOR["target_task_link_names"],
}


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean allegro"):
        known_hand("alegro", "left")


@pytest.mark.parametrize("fields", [VECTOR, DEXPILOT])
def test_a_configuration_beside_its_urdf_is_the_known_hand(fields: dict[str, object], tmp_path: Path) -> None:
    known = known_hand("leap", "left")
    (tmp_path / "my_left.urdf").write_bytes(known.urdf.read_bytes())
    config = tmp_path / "mine.yml"
    config.write_text(yaml.safe_dump({"retargeting": {**fields, "urdf_path": "my_{side}.urdf"}}))
    hand = robot_hand(str(config), "left")
    assert (hand.tips, hand.wrist, hand.human_tips) == (known.tips, known.wrist, (4, 8, 12, 16))
    assert hand.scaling == fields.get("scaling_factor")
    assert hand.method == ("vector" if fields is VECTOR else "dexpilot")
    assert robot_hand(str(tmp_path / "my_{side}.urdf"), "left", config).urdf == hand.urdf
    config.rename(tmp_path / "mine_left.yml")
    assert robot_hand(str(tmp_path / "mine_{side}.yml"), "left").name == "mine"
    assert Solver(hand).model.names == Solver(known).model.names


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "position"}, "vector or DexPilot"),
        ({"target_task_link_names": ["thumb_tip_head"]}, "as long as"),
        ({"target_link_human_indices": [[0, 0, 0, 5], [4, 8, 12, 16]]}, "from one link"),
        ({"target_link_human_indices": [[0, 0, 0, 0], [4, 8, 12, 99]]}, "from one link"),
        ({"target_link_human_indices": [[0, 0, 0, 0], [3, 8, 12, 16]]}, "thumb"),
        ({"scaling_factor": "big"}, "scaling_factor"),
        ({"urdf_path": None}, "urdf_path"),
        ({"target_joint_names": [1]}, "list of names"),
    ],
)
def test_a_configuration_with_a_fault_is_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    config = tmp_path / "mine.yml"
    config.write_text(yaml.safe_dump({"retargeting": {**VECTOR, "urdf_path": "my.urdf", **change}}))
    with pytest.raises(ConfigurationError, match=said):
        robot_hand(str(config), "right")


def test_links_and_joints_that_the_urdf_lacks_are_named(tmp_path: Path) -> None:
    urdf = known_hand("leap", "right").urdf
    config = tmp_path / "mine.yml"
    config.write_text(yaml.safe_dump({**VECTOR, "target_origin_link_names": ["wrist"] * 4}))
    with pytest.raises(ConfigurationError, match="none called wrist"):
        Solver(robot_hand(str(urdf), "right", config))


def test_a_urdf_needs_a_configuration_and_a_name_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--config beside a URDF"):
        robot_hand("my.urdf", "right")
    with pytest.raises(ConfigurationError, match="--config"):
        robot_hand("leap", "right", tmp_path / "c.yml")


def test_a_configuration_that_repeats_itself_without_end_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "mine.yml"
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    config.write_text(f"a0: &a0 [x]\n{levels}\n")
    with pytest.raises(ConfigurationError, match="in YAML"):
        robot_hand(str(config), "right")
    with pytest.raises(ConfigurationError, match="No such file"):
        robot_hand(str(tmp_path / "none.yml"), "right")
