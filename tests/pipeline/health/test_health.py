"""What supervisors are told: alive, ready and the numbers, of stated runs and of one that goes on."""

import socket
from dataclasses import replace
from http.client import HTTPConnection

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hamba_core.errors import ConfigurationError, OutputError
from pipeline.health import Health, health_server
from stages.packets import Percentiles, SourceStatus, StageStatus, Status

TIMES = Percentiles(10.0, 20.0, float("nan"))
RUNNING = Status(
    stream="desk", state="running", reason="", elapsed=5.0, frames=150, hands=2, rate=30.0, latency=TIMES,
    stages=(StageStatus("detect", 160, 150, {"newer frame": 9}, 1, TIMES, 0, 2, 4),),
    choices=(), errors={"detect: ValueError": 1}, frames_with_hands=140,
    source=SourceStatus("live", 4.0, "", 0.05, "arrival", {"reconnections": 2}),
)  # fmt: skip


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


def source_in(state: str) -> Status:
    return replace(RUNNING, source=SourceStatus(state, 3.0, "", 3.0, "arrival", {}))


def test_before_a_run_begins_it_is_alive_and_not_ready() -> None:
    health = Health()
    assert health.alive().yes
    assert not health.ready().yes


@pytest.mark.parametrize(
    ("status", "ready", "why"),
    [
        (RUNNING, True, "frames flow"),
        (source_in("stalled"), False, "desk: source stalled for 3 s"),
        (source_in("lost"), False, "source lost"),
        (replace(RUNNING, rate=0.0), False, "no results"),
        (replace(RUNNING, state="failed", reason="the camera burns"), False, "failed: the camera burns"),
        (replace(RUNNING, source=None), True, "frames flow"),
    ],
)
def test_ready_means_that_hands_can_be_had_now(status: Status, ready: bool, why: str) -> None:
    health = Health()
    health.update(status)
    answer = health.ready()
    assert (answer.yes, why in answer.reason) == (ready, True)


def test_one_run_that_is_not_ready_is_enough() -> None:
    health = Health()
    health.update(RUNNING)
    health.update(replace(source_in("black"), stream="door"))
    assert not health.ready().yes
    assert health.ready().reason == "door: source black for 3 s"


def test_a_silent_run_is_not_alive_but_one_that_has_ended_is() -> None:
    clock = Hands()
    health = Health(clock)
    health.update(RUNNING)
    clock.ns = 9_000_000_000
    assert health.alive().yes
    clock.ns = 11_000_000_000
    assert health.alive().reason == "desk: no news for 11 s"
    health.update(replace(RUNNING, state="ended"))
    clock.ns = 60_000_000_000
    assert health.alive().yes


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ask(port: int, path: str, accept: str = "*/*") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_numbers_are_what_prometheus_reads() -> None:
    port = free_port()
    with health_server(str(port)) as health:
        assert ask(port, "/ready")[0] == 503
        health.update(RUNNING)
        assert ask(port, "/ready") == (200, "frames flow\n")
        assert ask(port, "/alive")[0] == 200
        assert ask(port, "/else")[0] == 404
        strange = ask(port, "/metrics", "application/openmetrics-text; version=-1allow-utf-8")
        status, text = ask(port, "/metrics")
    assert strange[0] == 200
    assert status == 200
    numbers = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert numbers["hamba_frames_total", "desk"] == 150
    assert numbers["hamba_latency_seconds", "0.95", "desk"] == pytest.approx(0.020)
    assert ("hamba_latency_seconds", "0.99", "desk") not in numbers
    assert numbers["hamba_stage_dropped_total", "desk", "detect", "newer frame"] == 9
    assert numbers["hamba_source_events_total", "desk", "reconnections"] == 2
    assert numbers["hamba_source_state", "desk", "live"] == 1
    assert numbers["hamba_failed_frames_total", "desk", "detect: ValueError"] == 1


def test_the_port_is_free_again_afterwards_and_a_taken_one_is_told() -> None:
    address = f"127.0.0.1:{free_port()}"
    with health_server(address), pytest.raises(OutputError, match="name another"), health_server(address):
        pass
    with health_server(address):
        pass


@pytest.mark.parametrize("address", ["", "host", "70000", "http://host:1", "1:2:3", ":80"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="expected PORT or HOST:PORT"), health_server(address):
        pass
