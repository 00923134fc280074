"""A robot's description gives the links' places that dexi-rs gives, and anything else is refused in words."""

from pathlib import Path

import numpy as np
import pytest

from hamba_core.errors import ConfigurationError
from hamba_core.hand import SIDES, Side
from viewers.robots.retarget.kinematics import Joint, _in_order, read_urdf
from viewers.robots.retarget.robot_hands import ROBOTS, known_hand
from viewers.robots.retarget.shapes import link_meshes

pytest.importorskip("dexi_rs", reason="needs dexi-rs: pip install 'hamba-stream[robots]'")

ARM = """<robot name="arm">
  <link name="base"/><link name="upper"/><link name="slide"/><link name="finger"/>
  <joint name="lift" type="prismatic"><parent link="upper"/><child link="slide"/>
    <origin xyz="0 0 0.2"/><axis xyz="0 0 2"/><limit lower="0" upper="0.1" velocity="0.5" effort="1"/></joint>
  <joint name="turn" type="revolute"><parent link="base"/><child link="upper"/>
    <origin xyz="0 0 1" rpy="0 0 1.5707963267948966"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="2" velocity="3" effort="1"/></joint>
  <joint name="follow" type="continuous"><parent link="slide"/><child link="finger"/><axis xyz="1 0 0"/>
    <mimic joint="turn" multiplier="-2" offset="0.5"/></joint>
</robot>"""


def test_links_are_where_the_joints_take_them(tmp_path: Path) -> None:
    path = tmp_path / "arm.urdf"
    path.write_text(ARM)
    model = read_urdf(path)
    assert (model.root, model.names) == ("base", ("turn", "lift", "follow"))
    np.testing.assert_allclose(model.limits()[:2], np.array([[-1, 2], [0, 0.1]]))
    assert model.speeds().tolist() == [3, 0.5, 10]
    assert model.free().tolist() == [0, 1]
    positions = model.coupled(np.array([[0.0, 0.0, 9.0], [np.pi / 2, 0.1, 0.0]]))
    np.testing.assert_allclose(positions[:, 2], [0.5, 0.5 - np.pi])
    poses = model.link_poses(positions, ["slide"])
    # Half a turn about the parent's y, which lies along -x of the root.
    np.testing.assert_allclose(poses["slide"][:, :3, 3], [[0, 0, 1.2], [0, 0.3, 1]], atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("robot", ROBOTS)
def test_known_hands_have_the_places_that_dexi_has(robot: str, side: Side) -> None:
    from viewers.robots.retarget.solver import Solver

    solver = Solver(known_hand(robot, side))
    model = solver.model
    positions = model.coupled(np.random.default_rng(1).uniform(model.limits()[:, 0], model.limits()[:, 1]))
    theirs = [0.0] * len(model.names)
    for place, value in zip(solver._order, positions.tolist(), strict=True):
        theirs[place] = value
    expected = np.array(solver._solve.link_positions(theirs, list(model.links))).reshape(-1, 3)
    poses = model.link_poses(positions)
    np.testing.assert_allclose([poses[link][:3, 3] for link in model.links], expected, atol=1e-9)


@pytest.mark.parametrize("robot", ROBOTS)
def test_known_hands_have_fingers_along_z_and_thumbs_on_their_side(robot: str) -> None:
    for side, sign in (("right", 1), ("left", -1)):
        hand = known_hand(robot, side)  # type: ignore[arg-type]
        model = read_urdf(hand.urdf)
        flat = model.coupled(np.clip(np.zeros(len(model.names)), *model.limits().T))
        poses = model.link_poses(flat, [hand.wrist, *hand.tips])
        wrist, thumb, middle = (poses[link][:3, 3] for link in (hand.wrist, hand.tips[0], hand.tips[2]))
        along = (middle - wrist) / np.linalg.norm(middle - wrist)
        assert along[2] > 0.98
        assert sign * (thumb - wrist)[1] > 0.05
        # Bent, the fingers go where the palm looks: to x.
        half = model.coupled(model.limits().mean(1))
        assert model.link_poses(half, [hand.tips[2]])[hand.tips[2]][0, 3] > middle[0] + 0.02


@pytest.mark.parametrize("robot", ROBOTS)
def test_known_hands_have_a_shape(robot: str) -> None:
    model = read_urdf(known_hand(robot, "right").urdf)
    meshes = link_meshes(model)
    assert set(meshes) <= set(model.links)
    flat = model.link_poses(model.coupled(np.clip(np.zeros(len(model.names)), *model.limits().T)))
    points = np.concatenate([v @ flat[link][:3, :3].T + flat[link][:3, 3] for link, (v, _) in meshes.items()])
    for vertices, faces in meshes.values():
        assert faces.min() >= 0
        assert faces.max() < len(vertices)
    assert 0.15 < np.ptp(points, axis=0).max() < 0.6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("<robot", "<model"), "robot"),
        (('link="upper"/><child link="slide"', 'link="slide"/><child link="upper"'), "one tree"),
        (('joint="turn"', 'joint="gone"'), "expected another joint that moves"),
        (('joint="turn"', 'joint="follow"'), "expected another joint that moves"),
        (('name="turn" type="revolute"', 'name="turn" type="fixed"'), "expected another joint that moves"),
        (('multiplier="-2"', 'multiplier="nan"'), "follows"),
        (('rpy="0 0 1.57', 'rpy="1e308 0 1.57'), "three numbers"),
        (('<link name="base"/>', '<link name="base"/><link name="base"/>'), "one tree"),
        (('parent link="base"', 'parent link="finger"'), "hang together"),
        (('xyz="0 0 1"', 'xyz="0 0"'), "three numbers"),
        (('upper="2"', 'upper="-2"'), "limits"),
        (('upper="2"', 'upper="nan"'), "limits"),
        (('xyz="0 1 0"', 'xyz="0 0 0"'), "axis"),
        (('<robot name="arm">', '<!DOCTYPE r [<!ENTITY a "b">]><robot name="&a;">'), "URDF"),
    ],
)
def test_what_is_no_robot_is_refused(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    path = tmp_path / "arm.urdf"
    text = ARM.replace(*change)
    path.write_text(text.replace("</robot>", "</model>") if "<model" in text else text)
    with pytest.raises(ConfigurationError, match=said):
        read_urdf(path)


def test_a_long_chain_is_put_in_order_however_it_is_written() -> None:
    count, T = 60_000, np.eye(4)
    joints = [
        Joint(f"j{n}", "fixed", f"l{n}", f"l{n + 1}", T, T[0, :3], 0, 0, 1) for n in reversed(range(count))
    ]  # looking for the next one in all that are left would take longer than a test may
    ordered, root = _in_order(Path("a.urdf"), joints, [f"l{n}" for n in range(count + 1)])
    assert root == "l0"
    assert list(ordered) == joints[::-1]


CUBE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


@pytest.mark.parametrize(
    ("shape", "file", "said"),
    [
        ('<box size="1 1"/>', CUBE, "three numbers"),
        ('<box size="1 nan 1"/>', CUBE, "three numbers"),
        ('<cylinder radius="x" length="1"/>', CUBE, "float"),
        ('<cylinder radius="1" length="1e308"/>', CUBE, "a length"),
        ('<sphere radius="-1"/>', CUBE, "a length"),
        ('<mesh filename="m.obj" scale="a b c"/>', CUBE, "float"),
        ('<mesh filename="m.obj"/>', "v a b c\n", "no mesh that trimesh reads"),
        ('<mesh filename="m.obj"/>', "v 1e300 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "no corners"),
        ('<mesh filename="m.ply"/>', "ply\nformat ascii 1.0\nelement vertex 99999999999999\nend_header\n", "m.ply"),
        ('<mesh filename="m.stl"/>', "solid\n", "m.stl"),
        ('<mesh filename="m.glb"/>', "glTF\2\0\0\0\x7f\x7f\x7f\x7f", "m.glb"),
    ],
)
def test_a_shape_that_is_none_is_named_by_its_link(shape: str, file: str, said: str, tmp_path: Path) -> None:
    for ending in ("obj", "ply", "stl", "glb"):
        (tmp_path / f"m.{ending}").write_text(file)
    (tmp_path / "hand.urdf").write_text(
        f'<robot name="r"><link name="palm"><visual><geometry>{shape}</geometry></visual></link></robot>'
    )
    with pytest.raises(ConfigurationError, match=rf"hand\.urdf: expected the shapes of the link palm, found: .*{said}"):
        link_meshes(read_urdf(tmp_path / "hand.urdf"))


def test_a_shape_of_no_length_is_a_point(tmp_path: Path) -> None:
    (tmp_path / "hand.urdf").write_text(
        '<robot name="r"><link name="palm"><visual><geometry><sphere radius="0"/></geometry></visual></link></robot>'
    )
    vertices, _ = link_meshes(read_urdf(tmp_path / "hand.urdf"))["palm"]
    assert not vertices.any()


def test_a_mesh_outside_of_the_descriptions_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    folder = tmp_path / "robots" / "hand"
    folder.mkdir(parents=True)
    (folder / "hand.urdf").write_text(
        '<robot name="r"><link name="a"><visual><geometry><mesh filename="../../secret.obj"/></geometry></visual>'
        "</link></robot>"
    )
    assert link_meshes(read_urdf(folder / "hand.urdf")) == {}
