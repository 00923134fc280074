"""Cameras that misbehave: what becomes of a run, and what it says of it."""

import time
from itertools import pairwise

import pytest

from tests.pipeline.streams.harness import Consumer, conserved
from tests.stages.sources.live.cameras.harness import CameraServer

pytestmark = pytest.mark.slow

BACK = 2.0  # s, within which a run is back once its camera is
STARTING = 1.5  # s, that the camera itself takes until its first key frame
SLACK = 1.0  # for a machine that has other things to do


@pytest.mark.parametrize("kind", ["rtsp", "http", "tcp-h264", "tcp-mjpeg"])
def test_a_camera_that_is_away_is_picked_up_as_soon_as_it_is_back(kind: str) -> None:
    with CameraServer(kind) as camera, Consumer(camera.address) as run:
        run.wait_for_results(20)
        for away in (0.5, 4.0):
            camera.kill()
            run.wait_for(lambda: run.state == "lost", 8)
            time.sleep(away)
            camera.start()
            begin = time.monotonic()
            run.wait_for_results(4)
            assert run.since(begin)[0]["at"] - begin < BACK + STARTING + SLACK
        assert run.stop()[0] == 0
        counts = run.report["source"]["counts"]
        assert (counts["drops"], counts["reconnections"]) == (2, 2)
        stamps = [result["pts"] for result in run.results]
        assert all(later > earlier for earlier, later in pairwise(stamps))
        assert stamps[-1] == pytest.approx(run.results[-1]["at"] - run.results[0]["at"], abs=1.0)
        assert conserved(run.report)


@pytest.mark.parametrize("seconds", [1.5, 5.0, 12.0])
def test_a_stall_is_told_and_is_over_when_pictures_come_again(seconds: float) -> None:
    with CameraServer("rtsp") as camera, Consumer(camera.address, read_timeout=8.0) as run:
        run.wait_for_results(20)
        camera.tell(silent=True)
        run.wait_for(lambda: run.state == "stalled", 5)
        time.sleep(seconds - 1)
        camera.tell(silent=False)
        begin = time.monotonic()
        run.wait_for(lambda: run.state == "live", BACK + STARTING + 4)
        run.wait_for_results(10)
        assert max(result["age"] for result in run.since(begin + 0.5)) < 1.5
        assert run.stop()[0] == 0
        assert run.report["source"]["counts"].get("reconnections", 0) == (seconds > 8)
        assert conserved(run.report)


@pytest.mark.parametrize("share", [0.001, 0.05])
@pytest.mark.parametrize("kind", ["rtsp", "http"])
def test_damaged_packets_cost_pictures_and_no_more(kind: str, share: float) -> None:
    with CameraServer(kind, corrupt=share, noise=20) as camera, Consumer(camera.address) as run:
        run.wait_for_results(150, 60)
        assert run.stop()[0] == 0
        assert run.report["state"] == "stopped"
        assert conserved(run.report)


def test_bursts_of_lost_and_damaged_packets_are_survived() -> None:
    with CameraServer("rtsp", only_udp=True, noise=20) as camera, Consumer(camera.address) as run:
        run.wait_for_results(20)
        for fault in ("lose", "corrupt") * 3:
            camera.tell(**{fault: 0.6})
            time.sleep(1)
            camera.tell(**{fault: 0.0})
            run.wait_for_results(15)
        assert run.state == "live"
        assert run.stop()[0] == 0
        assert conserved(run.report)


def test_data_that_cannot_be_decoded_are_not_taken_for_a_live_camera() -> None:
    with CameraServer("http") as camera, Consumer(camera.address, read_timeout=2.0) as run:
        run.wait_for_results(20)
        camera.tell(corrupt=1.0)
        camera.tell(black=True)  # tiny pictures, of which every one is damaged
        time.sleep(3)
        camera.tell(corrupt=0.0, black=False)
        run.wait_for_results(20)
        assert run.stop()[0] == 0
        assert conserved(run.report)


def test_frozen_and_black_are_told_and_the_run_goes_on() -> None:
    with CameraServer("rtsp") as camera, Consumer(camera.address) as run:
        run.wait_for_results(20)
        camera.tell(black=True)
        run.wait_for(lambda: run.state == "black", 10)
        camera.tell(black=False)
        run.wait_for(lambda: run.state == "live", 10)
        camera.tell(frozen=True)
        run.wait_for(lambda: run.state == "frozen", 15)
        camera.tell(frozen=False)
        run.wait_for(lambda: run.state == "live", 10)
        assert run.stop()[0] == 0
        counts = run.report["source"]["counts"]
        assert (counts["black"], counts["frozen"]) == (1, 1)
        assert sum("black pictures" in line for line in run.said) == 1


@pytest.mark.parametrize("kind", ["rtsp", "http", "tcp-h264"])
def test_a_new_size_goes_through(kind: str) -> None:
    with CameraServer(kind) as camera, Consumer(camera.address) as run:
        run.wait_for_results(20)
        camera.tell(width=640, height=480)
        run.wait_for(lambda: run.results[-1]["size"] == [640, 480] and run.results[-1]["age"] is not None, 10)
        assert run.stop()[0] == 0
        assert run.report["source"]["counts"]["changes of size"] == 1
        assert conserved(run.report)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_jumps_does_not_make_a_run_longer(jump: float) -> None:
    with CameraServer("rtsp") as camera, Consumer(camera.address) as run:
        run.wait_for_results(30)
        camera.tell(clock=jump)
        run.wait_for(lambda: run.counts.get("clock jumps") == 1, 10)
        run.wait_for_results(30)
        results = run.results
        assert results[-1]["pts"] == pytest.approx(results[-1]["at"] - results[0]["at"], abs=1.0)
        assert max(result["age"] for result in results[-20:]) < 1.5
        assert sum("clock that jumps" in line for line in run.said) == 1


def test_wrong_credentials_are_an_error_at_once_and_wait_waits_for_right_ones() -> None:
    with CameraServer("rtsp", password="right") as camera:
        address = camera.address.replace("rtsp://", "rtsp://user:wrong@")
        with Consumer(address) as run:
            begin = time.monotonic()
            assert run.process.wait(30) == 2
            assert time.monotonic() - begin < 15
            assert "401" in run.lines[-1]["error"]
            assert "wrong" not in run.lines[-1]["error"]
        with Consumer(address, wait=True) as run:
            run.wait_for(lambda: run.counts.get("attempts in vain", 0) >= 2)
            assert run.state == "connecting"
            assert "401" in run.status["source"]["reason"]
            camera.tell(password="wrong")
            run.wait_for_results(10)
            assert run.stop()[0] == 0


def test_a_camera_that_is_not_there_is_waited_for_where_that_is_asked() -> None:
    camera = CameraServer("rtsp")
    camera.kill()
    with camera:
        with Consumer(camera.address) as run:
            assert run.process.wait(30) == 2
            assert "refused" in run.lines[-1]["error"]
        with Consumer(camera.address, wait=True) as run:
            run.wait_for(lambda: run.counts.get("attempts in vain", 0) >= 2)
            camera.start()
            begin = time.monotonic()
            run.wait_for_results(5)
            # The stages open meanwhile; the rate is looked for in twenty pictures.
            assert run.results[0]["at"] - begin < BACK + STARTING + 2 * SLACK
            assert run.stop()[0] == 0


@pytest.mark.parametrize("kind", ["rtsp", "tcp-h264"])
def test_a_camera_that_falls_silent_is_lost_when_it_was_waited_for_and_no_later(kind: str) -> None:
    patience = 3.0
    with CameraServer(kind) as camera, Consumer(camera.address, read_timeout=patience) as run:
        run.wait_for_results(20)
        camera.tell(silent=True)
        begin = time.monotonic()
        run.wait_for(lambda: run.state == "lost", 2 * patience + SLACK)
        # What FFmpeg had held back would begin its wait anew; states are told once a second.
        assert time.monotonic() - begin < patience + 1 + SLACK
        camera.tell(silent=False)
        run.wait_for_results(10)
        assert run.stop()[0] == 0
        assert conserved(run.report)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kind", "pictures"), [("http", 3), ("rtsp", 15), ("tcp-h264", 12)])
def test_reconnections_leave_nothing_behind(kind: str, pictures: int) -> None:
    times = 200
    with CameraServer(kind, hang_up_after=pictures, key_interval=5) as camera, Consumer(camera.address) as run:
        run.wait_for_count("reconnections", times, 800)
        statuses = [line["status"] for line in run.lines if (line.get("status") or {}).get("source")]
        assert run.stop()[0] == 0
        assert conserved(run.report)
    reached = {status["source"]["counts"].get("reconnections", 0): status for status in statuses}
    first = next(status for count, status in reached.items() if count >= 40)
    last = list(reached.values())[-1]
    assert last["threads"] == first["threads"]
    assert abs(last["descriptors"] - first["descriptors"]) <= 3  # those of the connection that is open just then
    assert last["memory"] < first["memory"] + 8 * 2**20
