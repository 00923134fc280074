"""The Blender add-on, in bpy without a window: installed from its zip, bones and meshes are where they were recorded.

bpy brings its own NumPy, so it is looked for in this environment and in that of the interpreter that HAMBA_BPY names.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES, JOINT_PARENTS
from stages.export import ExportSettings, export
from stages.packets import FrameResult, Hand, RunInfo
from stages.recording import Recorder
from viewers.avatars import OscMessage, OscSender, osc_messages
from viewers.blender.make.addon import make

DRIVER = Path(__file__).with_name("in_blender.py")
ARMATURE_BONES = [joint for joint in range(21) if joint == 0 or joint % 4]


@pytest.fixture(scope="session")
def blender() -> str:
    """A Python that has bpy."""
    for program in (os.environ.get("HAMBA_BPY"), sys.executable):
        if program and not subprocess.run([program, "-c", "import bpy"], capture_output=True, timeout=100).returncode:
            return program
    pytest.skip("needs bpy: make an environment with pip install bpy, and name its Python with HAMBA_BPY")


@pytest.fixture
def addon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The zip; what Blender installs goes to a folder of the test's own."""
    monkeypatch.setenv("BLENDER_USER_RESOURCES", str(tmp_path / "blender"))
    make(tmp_path / "hamba_hands.zip")
    return tmp_path / "hamba_hands.zip"


@pytest.fixture
def hands(make_hand: Callable[..., Hand]) -> list[tuple[Hand, ...]]:
    """A right hand that changes its pose in each frame, and a left one that is away in the second."""
    shape = make_hand(0).betas
    frames = []
    for seed in range(4):
        both = []
        for side, track in (("right", 1), ("left", 2)):
            made = make_hand(seed, side, track, (0.1 * (3 - 2 * track), 0.02 * seed, 0.5))
            both.append(_of_shape(made, shape))
        frames.append(tuple(both) if seed != 1 else (both[0],))
    return frames


def _of_shape(hand: Hand, betas: Any) -> Hand:
    """The same pose of the hand of this shape, so that bones keep their lengths."""
    from hamba_core.hand import load_generic_hand

    orient, pose, shape, place = (
        np.asarray(part, np.float64) for part in (hand.global_orient, hand.hand_pose, betas, hand.translation)
    )
    posed = load_generic_hand().pose(orient, pose, shape, place, hand.side)
    return replace(
        hand, betas=betas, joints=posed.joints.astype(np.float32), vertices=posed.vertices.astype(np.float32)
    )


def in_blenders_axes(points: Any) -> Array:
    """x right, y forward, z up."""
    return np.asarray(points, float)[..., [0, 2, 1]] * [1, 1, -1]


def check_bones(bones: dict[str, Any], hand: Hand) -> None:
    joints = in_blenders_axes(hand.joints)
    assert set(bones) == {JOINT_NAMES[joint] for joint in ARMATURE_BONES}
    for joint in ARMATURE_BONES:
        head, tail = bones[JOINT_NAMES[joint]]
        np.testing.assert_allclose(head, joints[joint], atol=2e-4)
        np.testing.assert_allclose(tail, joints[9 if joint == 0 else joint + 1], atol=2e-4)


def test_an_imported_recording_moves_armatures_and_meshes_as_it_was(
    blender: str, addon: Path, hands: list[tuple[Hand, ...]], make_run: Callable[..., RunInfo],
    make_result: Callable[..., FrameResult], tmp_path: Path,
) -> None:  # fmt: skip
    recorder = Recorder(tmp_path / "clip" / "hands.mcap")
    recorder.open(make_run())
    for index, both in enumerate(hands):
        recorder.write(make_result(index, both))
    recorder.close()
    [npz] = export(tmp_path / "clip" / "hands.mcap", tmp_path / "clip", ExportSettings(formats=("npz",)))
    done = subprocess.run(
        [blender, str(DRIVER), str(addon), str(npz), "1,2,3,4"], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    said = next(line for line in done.stdout.splitlines() if line.startswith("JSON "))
    found = json.loads(said.removeprefix("JSON "))
    assert found["result"] == ["FINISHED"]
    for index, both in enumerate(hands):
        moment = found["frames"][str(index + 1)]
        there = {f"{hand.track_id}_{hand.side}": hand for hand in both}
        for name in ("1_right", "2_left"):
            armature = moment["armatures"][f"hand {name}"]
            assert armature["hidden"] == (name not in there)
            if name in there:
                check_bones(armature["bones"], there[name])
                mesh = moment["meshes"][f"mesh {name}"]
                np.testing.assert_allclose(mesh, in_blenders_axes(there[name].vertices), atol=3e-4)


class Live:
    """Blender that follows; its lines as they come."""

    def __init__(self, blender: str, addon: Path) -> None:
        self.process = subprocess.Popen([blender, str(DRIVER), str(addon), "live"], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        while not (line := self.process.stdout.readline()).startswith(b'{"port"'):
            assert line, "Blender ended"
        self.port = int(json.loads(line)["port"])
        os.set_blocking(self.process.stdout.fileno(), False)
        self._seen = b""

    def newest(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        assert self.process.poll() is None
        self._seen += self.process.stdout.read() or b""
        lines = [line for line in self._seen.split(b"\n")[:-1] if line.startswith(b"{")]
        newest: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return newest


@pytest.fixture
def live(blender: str, addon: Path) -> Iterator[Live]:
    pytest.importorskip("pythonosc", reason="needs python-osc: pip install 'hamba-stream[avatars]'")
    one = Live(blender, addon)
    yield one
    one.process.kill()
    one.process.communicate()


def test_live_hands_pose_an_armature_of_each_side(
    live: Live, hands: list[tuple[Hand, ...]], make_result: Callable[..., FrameResult], until: Callable[..., None]
) -> None:
    with OscSender("127.0.0.1", live.port) as sender:

        def shows(both: tuple[Hand, ...], names: set[str], hidden: set[str]) -> Callable[[], bool]:
            def check() -> bool:
                sender.send(
                    [
                        OscMessage("/other", ("x",)),
                        OscMessage("/hamba/left/seen", ()),
                        *osc_messages(make_result(0, both)),
                    ]
                )
                time.sleep(0.05)
                newest = live.newest()
                if set(newest) != names or {name for name in newest if newest[name]["hidden"]} != hidden:
                    return False
                heads = newest["live right"]["bones"]["index_3"][0]
                return bool(np.abs(heads - in_blenders_axes(both[0].joints[7])).max() < 1e-3)

            return check

        until(shows(hands[0], {"live left", "live right"}, set()), 60)
        until(shows(hands[2], {"live left", "live right"}, set()), 60)
        newest = live.newest()
        for hand in hands[2]:
            check_bones(newest[f"live {hand.side}"]["bones"], hand)
        until(shows(hands[1], {"live left", "live right"}, {"live left"}), 60)


def test_the_zip_is_whole_and_the_same_each_time(tmp_path: Path) -> None:
    from zipfile import ZipFile

    make(tmp_path / "one.zip")
    make(tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with ZipFile(tmp_path / "one.zip") as archive:
        names = set(archive.namelist())
        sources = [archive.read(name).decode() for name in names if name.endswith(".py")]
    assert {"hamba_hands/__init__.py", "hamba_hands/blender_manifest.toml", "hamba_hands/LICENSE"} <= names
    for source in sources:
        for line in source.splitlines():
            if line.startswith(("import ", "from ")):
                package = line.split()[1].partition(".")[0]
                assert package in sys.stdlib_module_names | {"", "bpy", "mathutils", "numpy"}, line


def test_the_addons_skeleton_is_ours() -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    path = DRIVER.parents[3] / "viewers/blender/addon/skeleton.py"  # its package needs bpy
    specification = spec_from_file_location("addon_skeleton", path)
    assert specification
    assert specification.loader
    skeleton = module_from_spec(specification)
    specification.loader.exec_module(skeleton)
    assert skeleton.JOINTS == JOINT_NAMES
    assert skeleton.PARENTS == JOINT_PARENTS
    assert list(skeleton.BONES) == ARMATURE_BONES


def test_osc_packets_are_read_as_python_osc_writes_them_and_others_refused() -> None:
    pytest.importorskip("pythonosc", reason="needs python-osc: pip install 'hamba-stream[avatars]'")
    from importlib.util import module_from_spec, spec_from_file_location

    from pythonosc.osc_message_builder import OscMessageBuilder

    specification = spec_from_file_location("addon_osc", DRIVER.parents[3] / "viewers/blender/addon/osc_packets.py")
    assert specification
    assert specification.loader
    packets = module_from_spec(specification)
    specification.loader.exec_module(packets)
    builder = OscMessageBuilder("/hamba/left/wrist")
    for argument in ("a text", 7, 0.5, -1):
        builder.add_arg(argument)
    data = builder.build().dgram
    assert list(packets.messages_in(data)) == [("/hamba/left/wrist", ("a text", 7, 0.5, -1))]
    bundle = b"#bundle\0" + bytes(8) + len(data).to_bytes(4, "big") + data
    assert len(list(packets.messages_in(bundle + bundle[16:]))) == 2
    random = np.random.default_rng(0)
    for broken in (b"", b"#bundle\0", bundle[:-3], bundle[:16] + b"\xff" * 40, *(random.bytes(40) for _ in range(50))):
        try:
            list(packets.messages_in(broken))
        except ValueError:
            continue
        assert broken in (b"#bundle\0",), "what is no packet is refused"
