"""How old results are, by the time that stands in the picture, whatever holds up the run.

The bound: the newest result is at most two frame periods, the time of processing and one interval between key frames
old, and `SLACK` for a machine that has other things to do. What was under way when the process was stopped comes out as
old as it is.
"""

import os
import time
from typing import Any

import pytest

from tests.pipeline.streams.harness import Consumer, conserved
from tests.stages.sources.live.cameras.harness import CameraServer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="processes are stopped by signals")]

RATE = 30.0
KEY_INTERVAL = 1.0  # s, of video; pictures by themselves have none
SLACK = 0.5
UNDER_WAY = 2  # results
UNSEEN = 0.5  # s

KINDS: list[Any] = [
    pytest.param("rtsp", {}, id="RTSP over TCP"),
    pytest.param("rtsp", {"only_udp": True}, id="RTSP over UDP"),
    pytest.param("rtsp", {"reports": False}, id="RTSP without sender reports"),
    pytest.param("http", {}, id="MJPEG over HTTP"),
    pytest.param("tcp-h264", {}, id="H.264 over TCP"),
    pytest.param("tcp-mjpeg", {}, id="JPEG over TCP"),
]


def bound(kind: str, processing: float) -> float:
    return 2 / RATE + processing + (0.0 if "mjpeg" in kind or kind == "http" else KEY_INTERVAL) + SLACK


@pytest.mark.parametrize(("kind", "behaviour"), KINDS)
def test_after_ten_seconds_without_a_turn_results_are_new_at_once(kind: str, behaviour: dict[str, Any]) -> None:
    with CameraServer(kind, **behaviour) as camera, Consumer(camera.address, 0.02) as run:
        run.wait_for_results(30)
        again = run.hold(10)
        run.wait_for_results(60)
        # Where a stream has no times of its own, what still waits at its sender is seen to be old by nobody.
        after = run.since(again + (0.0 if kind == "rtsp" else UNSEEN))[UNDER_WAY:]
        assert max(result["age"] for result in after) < bound(kind, 0.02)
        assert run.status["source"]["counts"]["stalls"] == 1
        assert sum(run.status["stages"][0]["dropped"].values()) > 100
        status, took = run.stop()
        assert (status, took < 2) == (0, True)
        assert conserved(run.report)


@pytest.mark.parametrize(("kind", "behaviour"), KINDS)
def test_a_run_that_gets_a_third_of_a_core_has_new_results(kind: str, behaviour: dict[str, Any]) -> None:
    with CameraServer(kind, **behaviour) as camera, Consumer(camera.address, 0.0) as run:
        run.wait_for_results(30)
        begin = time.monotonic()
        run.hold_to(0.3, 15)
        held = run.since(begin + 2)
        assert len(held) > 20
        assert max(result["age"] for result in held) < bound(kind, 0.05)


@pytest.mark.parametrize(("kind", "behaviour"), KINDS)
def test_a_slow_consumer_has_new_results(kind: str, behaviour: dict[str, Any]) -> None:
    processing = 0.4
    with CameraServer(kind, **behaviour) as camera, Consumer(camera.address, processing) as run:
        run.wait_for_results(5)
        begin = time.monotonic()
        run.wait_for_results(20)
        assert max(result["age"] for result in run.since(begin)) < bound(kind, processing)
        assert run.status["stages"][1]["dropped"]["replaced by newer"] > 50


def test_pictures_that_no_other_depends_on_are_not_decoded_where_the_stages_are_slower() -> None:
    with CameraServer("rtsp", b_frames=3) as camera, Consumer(camera.address, 0.4) as run:
        run.wait_for_results(20)
        assert run.status["stages"][0]["dropped"]["not decoded: the stages are slower"] > 20
    with CameraServer("rtsp", b_frames=3) as camera, Consumer(camera.address, 0.0) as run:
        run.wait_for_results(60)
        assert run.status["stages"][0]["dropped"].get("not decoded: the stages are slower", 0) < 10


@pytest.mark.parametrize(("kind", "behaviour"), KINDS[:2])
def test_the_age_that_is_said_is_the_age_that_stands_in_the_picture(kind: str, behaviour: dict[str, Any]) -> None:
    with CameraServer(kind, **behaviour) as camera, Consumer(camera.address, 0.0) as run:
        run.wait_for_results(40)
        begin = time.monotonic()
        run.hold_to(0.2, 6)
        run.wait_for_results(10)
        results = run.since(begin)
        assert {result["by"] for result in results} == {"sender reports"}
        # The clock of the picture has steps of a millisecond.
        off = sorted(abs(result["age"] - result["said"]) for result in results)
        assert off[round(0.9 * len(off))] < 0.01


@pytest.mark.parametrize("wrong", [3600.0, -86400.0])
def test_a_camera_whose_clock_is_wrong_is_dated_by_its_stamps(wrong: float) -> None:
    with CameraServer("rtsp", wall_clock=wrong) as camera, Consumer(camera.address, 0.0) as run:
        run.wait_for_results(40)
        again = run.hold(3)
        run.wait_for_results(30)
        results = run.since(again)[UNDER_WAY:]
        assert {result["by"] for result in results} == {"stream clock"}
        # It cannot know what all pictures have in common: here the frame that FFmpeg waits for, and the way to here.
        assert max(abs(result["age"] - result["said"]) for result in results) < 3 / RATE + SLACK
