"""The network's stage in a run, on a simulated device: two batches under way, every frame in order, clean ends."""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from hamba_core.errors import DeviceError
from hamba_core.view import Intrinsics
from hamba_core.weights import load
from pipeline.runtime.runner import Mode, Runner, RuntimeSettings
from stages.contract import Sink, Source, Stage
from stages.packets import (
    ClockAnchor,
    Detections,
    Frame,
    FrameMeta,
    FrameResult,
    HandBox,
    HandTopology,
    RunInfo,
    SourceInfo,
)
from stages.reconstruction import Reconstruction, ReconstructionSettings, shared_network
from stages.reconstruction.hamba import Cpu, DeviceEngine, Model
from tests.stages.reconstruction.hamba.simulated import Simulated

FRAMES = 12
CAMERA = Intrinsics.estimate(64, 48)


class Frames(Source):
    """Noise. With a `runner`, a frame comes when the one before has left its line."""

    runner: Runner | None = None

    def open(self) -> SourceInfo:
        return SourceInfo("noise", "synthetic", False, 64, 48, None, FRAMES, CAMERA)

    def frames(self) -> Iterator[Frame | None]:
        for index in range(FRAMES):
            while self.runner is not None and any(stage.in_flight for stage in self.runner.status().stages):
                time.sleep(0.0005)
                yield None
            image = np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)
            yield Frame(FrameMeta("hands", index, index / 30, index, 64, 48, CAMERA), image)


class Boxes(Stage[Frame, Detections]):
    """A hand in every frame but each fifth."""

    name = "boxes"

    def process(self, packet: Frame) -> Detections:
        index = packet.meta.index
        corners = np.array([10 + index, 10, 30 + index, 35], np.float32)
        box = HandBox("right", 0.9, corners, np.zeros((21, 2), np.float32), np.zeros((21, 3), np.float32), 1)
        return Detections(packet, (box,) if index % 5 else ())


class Results(Sink):
    """Keeps them."""

    name = "results"

    def __init__(self) -> None:
        self.results: list[FrameResult] = []

    def open(self, run: RunInfo) -> None:
        pass

    def write(self, result: FrameResult) -> None:
        self.results.append(result)


class Counting(Simulated):
    """Knows how many batches were under way at most, and is lost with one of them."""

    most_under_way = 0
    lost_at = 10**9

    def run(self, stream: Any, work: Any, after: Any = None) -> Any:
        piece = super().run(stream, work, after)
        self.most_under_way = max(self.most_under_way, self.under_way())
        self.lost |= stream == "upload" and piece.number == self.lost_at
        return piece


def run_info(source: SourceInfo) -> RunInfo:
    none = np.zeros((0, 3), np.int32)
    return RunInfo("hands", source, HandTopology("mano", 0, none, none), "hamba", ClockAnchor(0, 0), {}, {})


def settings_for(release: Path) -> ReconstructionSettings:
    return ReconstructionSettings(checkpoint=release, precision="float32", device="cpu")


def runner_on(
    device: Any, release: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode = "offline"
) -> tuple[Runner, Results]:
    """A run whose network is on this device, a frame a batch."""
    network = load(release)

    def open_model(*_: Any, **__: Any) -> Model:
        engine = DeviceEngine(network, device, (1, 2), 1 if isinstance(device, Cpu) else 2)
        engine.open()
        return Model(engine, 1, ())

    monkeypatch.setattr("stages.reconstruction.hamba.opening.open_model", open_model)
    sink = Results()
    settings = settings_for(release)
    stages: list[Stage[Any, Any]] = [Boxes(), Reconstruction(settings, network.hand)]
    source, runtime = Frames(), RuntimeSettings(max_consecutive_failures=3)
    runner = Runner(source, stages, [sink], run_info=run_info, mode=mode, settings=runtime)
    if mode == "live":
        source.runner = runner
    return runner, sink


def test_two_batches_are_under_way_and_every_hand_arrives_in_order(
    tiny_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Counting()
    runner, sink = runner_on(device, tiny_release, monkeypatch)
    report = runner.run()
    plain, expected = runner_on(Cpu(), tiny_release, monkeypatch)
    plain.run()
    assert device.most_under_way == 2
    assert device.under_way() == 0
    assert (report.frames, report.frames_with_hands) == (FRAMES, FRAMES - 3)
    assert [result.frame.index for result in sink.results] == list(range(FRAMES))
    for ours, theirs in zip(sink.results, expected.results, strict=True):
        assert len(ours.hands) == len(theirs.hands)
        for hand, other in zip(ours.hands, theirs.hands, strict=True):
            np.testing.assert_allclose(hand.vertices, other.vertices, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("mode", ["offline", "live"])
def test_a_lost_device_ends_the_run_with_what_came_before(
    tiny_release: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    device = Counting()
    device.lost_at = 5  # the hand of frame 6
    runner, sink = runner_on(device, tiny_release, monkeypatch, mode)
    with pytest.raises(DeviceError, match=r"unspecified launch failure.*cannot use it any more"):
        runner.run()
    indices = [result.frame.index for result in sink.results]
    report = runner.report
    assert report is not None
    assert report.state == "failed"
    for stage in report.stages:
        assert stage.received == stage.emitted + sum(stage.dropped.values())
    if mode == "live":
        assert indices == list(range(6))
        assert report.errors == {"reconstruct: DeviceError": 3}
    else:
        # What was begun before it may be lost with the device, if it was not waited for yet.
        assert indices in ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4], [0, 1, 2, 3])
        assert report.errors == {"reconstruct: DeviceError": 1}


def test_two_runs_of_one_process_use_one_network(tiny_release: Path) -> None:
    settings = settings_for(tiny_release)
    shared = shared_network(settings)
    sinks = [Results(), Results(), Results()]
    runners = [
        Runner(Frames(), [Boxes(), Reconstruction(settings, shared.hand, shared=network)], [sink], run_info=run_info)
        for network, sink in zip((shared, shared, None), sinks, strict=True)
    ]
    threads = [Thread(target=runner.run, daemon=True) for runner in runners[:2]]
    for thread in threads:
        thread.start()
    runners[2].run()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for sink in sinks[:2]:
        for ours, alone in zip(sink.results, sinks[2].results, strict=True):
            for hand, other in zip(ours.hands, alone.hands, strict=True):
                np.testing.assert_allclose(hand.vertices, other.vertices, rtol=1e-3, atol=1e-3)
    report = runners[0].report
    assert report is not None
    assert "network shared by" in {choice.subject for choice in report.choices}
