"""For every test: hands and results, of the generic hand posed at random from a seed; releases of tiny networks; a
publisher to follow; a screen for windows."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from math import nan
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import ArrayLike

from hamba_core.arrays import Float32Array
from hamba_core.hand import Side, exp_so3, load_generic_hand
from hamba_core.view import Intrinsics
from stages.assets import CLIP
from stages.packets import (
    ClockAnchor,
    FrameMeta,
    FrameResult,
    Hand,
    HandTopology,
    Image,
    Percentiles,
    RunInfo,
    SourceInfo,
    Status,
)

# An example that is slow because the machine is busy is no failure; pytest's own time-out is the limit.
settings.register_profile("exploring", deadline=None)
# The same examples each time, so that a change is judged by what it changed; `make test-slow` looks for new ones.
settings.register_profile("settled", deadline=None, derandomize=True)
settings.load_profile("settled")

# Ignored in a shell's background job, and then in the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _the_same_numbers() -> None:
    """Give torch's random numbers the same seed before each test, whichever tests ran before."""
    if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_real_time() -> Iterator[None]:
    """Fail a test that puts the tests' thread into real time, as an encoder may do for root: all else would starve."""
    yield
    if hasattr(os, "sched_getscheduler") and (policy := os.sched_getscheduler(0)) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        pytest.fail(f"the test left its thread with scheduling policy {policy}")


class OutOfTimeError(BaseException):
    """A test took too long. It is none of the failures that Hypothesis catches to look for a shorter example."""


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Iterator[None]:
    """Let the signal that ends a test that takes too long come again where something catches the first."""
    done = yield
    fail = signal.getsignal(signal.SIGALRM)
    if settings.method == "signal" and callable(fail):

        def end(number: int, frame: FrameType | None) -> None:
            try:
                fail(number, frame)
            except pytest.fail.Exception as failure:
                raise OutOfTimeError(failure.msg) from None

        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, 10)
    return done


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Stop the clock of a test that has failed: writing the report takes long on a busy machine, and is no test."""
    if call.excinfo is not None:
        item.ihook.pytest_timeout_cancel_timer(item=item)


MakeHand = Callable[..., Hand]
MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]

MakeRelease = Callable[..., Path]

R_CAMERA_HAND = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # fingers up, palm to the camera


def _single(values: ArrayLike) -> Float32Array:
    return np.asarray(values, np.float32)


@pytest.fixture(scope="session")
def topology() -> HandTopology:
    """The generic hand's topology."""
    model = load_generic_hand()
    right, left = (model.faces_of(side).astype(np.int32) for side in ("right", "left"))
    return HandTopology(model.name, len(model.v_template), right, left)


@pytest.fixture(scope="session")
def make_hand() -> MakeHand:
    """make_hand(seed, side, track_id, translation, camera, vertices) -> Hand; the same seed gives the same pose."""

    def make(
        seed: int = 0,
        side: Side = "right",
        track_id: int = 1,
        translation: tuple[float, float, float] = (0.0, 0.05, 0.5),
        camera: Intrinsics | None = None,
        vertices: bool = True,
    ) -> Hand:
        model, random = load_generic_hand(), np.random.default_rng(seed)
        camera = camera or Intrinsics.estimate(640, 480)
        least, most = model.joint_limits[:, 0].T
        flexion = random.uniform(np.maximum(least, 0), most * 0.6)
        hand_pose = exp_so3(model.flexion_axes * flexion[:, None])
        global_orient = exp_so3(random.normal(0, 0.4, 3)) @ R_CAMERA_HAND
        betas = random.normal(0, 0.5, 10)
        posed = model.pose(global_orient, hand_pose, betas, np.array(translation), side)
        pixels = camera.project(posed.vertices)
        return Hand(
            track_id=track_id,
            side=side,
            score=float(random.uniform(0.5, 1)),
            box=_single(np.concatenate([pixels.min(0), pixels.max(0)])),
            global_orient=_single(global_orient),
            hand_pose=_single(hand_pose),
            betas=_single(betas),
            translation=_single(translation),
            joints=_single(posed.joints),
            joints_2d=_single(camera.project(posed.joints)),
            vertices=_single(posed.vertices if vertices else np.zeros((0, 3))),
        )

    return make


@pytest.fixture(scope="session")
def make_result(make_hand: MakeHand) -> MakeResult:
    """make_result(index, hands, ...) -> FrameResult with that many hands (right, left, right...) or those given."""

    def make(
        index: int = 0,
        hands: int | tuple[Hand, ...] = 2,
        *,
        stream: str = "hands",
        pts: float | None = None,
        captured_ns: int | None = None,
        size: tuple[int, int] = (640, 480),
        image: bool | Image = False,
        seed: int = 0,
    ) -> FrameResult:
        camera = Intrinsics.estimate(*size)
        if isinstance(hands, int):
            hands = tuple(
                make_hand(
                    seed + i,
                    "right" if i % 2 == 0 else "left",
                    i + 1,
                    # They move a little from frame to frame, as hands do.
                    (0.12 - 0.24 * (i % 2) + 0.02 * np.sin(index / 5), 0.05, 0.45 + 0.1 * i),
                    camera,
                )
                for i in range(hands)
            )
        pts = index / 30 if pts is None else pts
        meta = FrameMeta(
            stream, index, pts, int(pts * 1e9) + 1_000 if captured_ns is None else captured_ns, *size, camera
        )
        picture = None
        if isinstance(image, np.ndarray):
            picture = image
        elif image:
            rows, columns = np.mgrid[: size[1], : size[0]]
            picture = np.stack([rows % 256, columns % 256, (rows + columns + 3 * index) % 256], -1).astype(np.uint8)
        return FrameResult(meta, hands, {"detect": 21_000_000, "reconstruct": 2_000_000}, picture)

    return make


@pytest.fixture(scope="session")
def make_run(topology: HandTopology) -> MakeRun:
    """make_run(stream, live, ...) -> RunInfo of a 640x480 source."""

    def make(
        stream: str = "hands",
        *,
        live: bool = False,
        size: tuple[int, int] = (640, 480),
        fps: float | None = 30.0,
        topology: HandTopology = topology,
    ) -> RunInfo:
        source = SourceInfo(
            "clip.mp4", "camera" if live else "file", live, *size, fps, None, Intrinsics.estimate(*size)
        )
        return RunInfo(
            stream=stream,
            source=source,
            topology=topology,
            estimator="landmarks",
            clock=ClockAnchor(monotonic_ns=0, unix_ns=1_700_000_000_000_000_000),
            versions={"hamba-stream": "0.1.0"},
            settings={"mode": "live" if live else "offline"},
        )

    return make


@pytest.fixture(scope="session")
def mano_arrays() -> dict[str, Any]:
    """A made-up hand with the keys, shapes and dtypes of MANO's file, and none of its numbers."""
    from scipy import sparse

    random = np.random.default_rng(778)
    regressor, weights = random.random((16, 778)) ** 20, random.random((778, 16)) ** 8
    parents = [2**32 - 1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14]
    return {
        "v_template": 0.04 * random.standard_normal((778, 3)),
        "shapedirs": 0.004 * random.standard_normal((778, 3, 10)),
        "posedirs": 0.0005 * random.standard_normal((778, 3, 135)),
        "J_regressor": sparse.csc_matrix(regressor / regressor.sum(1, keepdims=True)),
        "kintree_table": np.array([parents, range(16)], np.int64),
        "weights": weights / weights.sum(1, keepdims=True),
        "f": random.integers(0, 778, (1538, 3), np.uint32),
        "hands_components": np.eye(45),
        "hands_mean": np.zeros(45),
        "bs_style": "lbs",
    }


@pytest.fixture(scope="session")
def write_mano(mano_arrays: dict[str, Any]) -> Callable[..., Path]:
    """write_mano(path, protocol, **changes) -> the file as Python 2 and chumpy wrote it; None leaves a key out."""

    def write(path: Path, protocol: int = 2, **changes: Any) -> Path:
        modules = {"chumpy": ModuleType("chumpy")}
        for place, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select")):
            modules[place] = ModuleType(place)
            setattr(modules[place], name, type(name, (), {"__module__": place}))

        def wrapped(module: str, name: str, **state: Any) -> Any:
            instance = getattr(modules[module], name)()
            instance.__dict__.update(state)
            return instance

        hand = {name: value for name, value in {**mano_arrays, **changes}.items() if value is not None}
        if hand.get("shapedirs") is mano_arrays["shapedirs"]:
            wide = np.concatenate([hand["shapedirs"], np.ones((778, 3, 2))], -1)
            chosen = np.arange(wide.size).reshape(wide.shape)[..., :10].ravel()
            inner = wrapped("chumpy.ch", "Ch", x=wide)
            hand["shapedirs"] = wrapped(
                "chumpy.reordering", "Select", a=inner, idxs=chosen, preferred_shape=(778, 3, 10)
            )
        if hand.get("v_template") is mano_arrays["v_template"]:
            hand["v_template"] = wrapped("chumpy.ch", "Ch", x=hand["v_template"])
        with pytest.MonkeyPatch.context() as patch:
            for module_name, module in modules.items():
                patch.setitem(sys.modules, module_name, module)
            path.write_bytes(pickle.dumps(hand, protocol))
        return path

    return write


@pytest.fixture(scope="session")
def make_release(write_mano: Callable[..., Path]) -> MakeRelease:
    """make_release(folder, change, state) -> folder of a release of a tiny network with random weights.

    `change` is told the checkpoint's tensors and may change them in place; `state` is N of the scans.
    """

    def make(
        folder: Path, change: Callable[[dict[str, Any]], object] | None = None, *, state: int = 1, seed: int = 0
    ) -> Path:
        import torch

        from hamba_core.network import BackboneConfiguration, DecoderConfiguration, HambaConfiguration
        from hamba_core.weights.random_release import random_tensors, write_release

        decoder = DecoderConfiguration(depths=(1, 2), width=16, state=state, dt_rank=1)
        configuration = HambaConfiguration(decoder, decoder, BackboneConfiguration(32, 2, 128))
        tensors: dict[str, Any] = random_tensors(configuration, seed)
        tensors |= {"discriminator.weight": torch.zeros(3), "initialized": torch.tensor(True)}
        if change is not None:
            change(tensors)
        write_release(folder, configuration, tensors)
        (folder / "data" / "mano").mkdir(parents=True)
        write_mano(folder / "data" / "mano" / "MANO_RIGHT.pkl")
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_release(make_release: MakeRelease, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a release of a tiny network, made once; leave it as it is."""
    return make_release(tmp_path_factory.mktemp("release") / "tiny")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Tests leave the user's own cache folder alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


class Stage:
    """A publisher that a test puts hands on. Frames are numbered and stamped when they are shown.

    `clock` is that of the host it is on: this one, if it is left out.
    """

    def __init__(
        self,
        run: RunInfo,
        address: str = "tcp://127.0.0.1:*",
        *,
        images: bool = False,
        clock: ClockAnchor | None = None,
    ) -> None:
        from stages.publishing import Publisher, PublishSettings

        self.run = replace(run, clock=clock or ClockAnchor(time.monotonic_ns(), time.time_ns()))
        self.publisher = Publisher(PublishSettings(address=address, images=images))
        self.publisher.open(self.run)
        self.address = self.publisher.address
        self.index = 0

    def show(self, result: FrameResult) -> None:
        """Publish these hands now."""
        frame = replace(result.frame, index=self.index, captured_ns=time.monotonic_ns())
        self.publisher.write(replace(result, frame=frame))
        self.index += 1

    def say(self, state: str = "running", reason: str = "") -> None:
        """Publish the state of the run."""
        nothing = Percentiles(nan, nan, nan)
        self.publisher.status(Status(self.run.stream, state, reason, 1.0, self.index, 0, 30.0, nothing, (), (), {}))

    def leave(self, state: str = "ended", reason: str = "") -> None:
        """End as a run does."""
        self.say(state, reason)
        self.publisher.close()


MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage(make_run: Callable[..., RunInfo]) -> Iterator[MakeStage]:
    """make_stage(address, images=..., clock=...) -> Stage; closed at the end."""
    stages: list[Stage] = []

    def make(
        address: str = "tcp://127.0.0.1:*",
        *,
        images: bool = False,
        run: RunInfo | None = None,
        clock: ClockAnchor | None = None,
    ) -> Stage:
        stages.append(Stage(run or make_run(), address, images=images, clock=clock))
        return stages[-1]

    yield make
    for stage in stages:
        stage.publisher.close()


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """until(condition, seconds) waits for what others bring about; fails if it does not come."""

    def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.005)

    return wait


@pytest.fixture(scope="session")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A screen of its own for this test run (Xvfb), as the environment that leads to it; also set in this process."""
    if shutil.which("Xvfb") is None:
        pytest.skip("needs a screen: Xvfb is not installed (apt-get install xvfb)")
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x900x24", "-noreset", "-nolisten", "tcp"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    with os.fdopen(reader) as numbers:
        number = numbers.readline().strip()
    assert number, "Xvfb did not start"
    runtime = tmp_path_factory.mktemp("runtime")
    own = {"DISPLAY": f":{number}", "XDG_RUNTIME_DIR": str(runtime)}
    before = {name: os.environ.get(name) for name in (*own, "WAYLAND_DISPLAY")}
    os.environ.pop("WAYLAND_DISPLAY", None)
    os.environ.update(own)
    yield {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def beginning() -> Callable[[Path, int], Path]:
    """beginning(path, packets) -> path of a file with the first packets of the shipped clip, as they are."""

    def make(path: Path, packets: int) -> Path:
        import av

        with av.open(str(CLIP)) as clip, av.open(str(path), "w") as cut:
            stream = cut.add_stream_from_template(clip.streams.video[0])
            for packet in islice(clip.demux(video=0), packets):
                packet.stream = stream
                cut.mux(packet)
        return path

    return make


@pytest.fixture(scope="session")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 12 frames of the shipped clip, both hands in each, as an MP4 file."""
    import av  # a GPU machine may lack it

    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(CLIP)) as clip, av.open(str(path), "w") as cut:
        stream = cut.add_stream("libx264", 30)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        stream.time_base = Fraction(1, 30)
        for frame in islice(clip.decode(video=0), 12):
            picture = frame.to_ndarray(format="rgb24")
            cut.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        cut.mux(stream.encode())
    return path
