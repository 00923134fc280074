"""The client library with many clients, slow ones, and publishers that are killed."""

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

from stages.packets import FrameResult
from viewers.client import HandClient

MakeStage = Callable[..., Any]
MakeResult = Callable[..., FrameResult]

PUBLISH = """
import sys, time
from pipeline.benchmarks.publishing import _result, _run
from stages.publishing import Publisher, PublishSettings
publisher = Publisher(PublishSettings(address=sys.argv[1]))
publisher.open(_run())
print(publisher.address, flush=True)
result = _result(0)
while True:
    publisher.write(result)
    time.sleep(0.02)
"""


def publish(address: str) -> tuple["subprocess.Popen[str]", str]:
    """A publisher in a process of its own, and where it is."""
    process = subprocess.Popen([sys.executable, "-c", PUBLISH, address], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_twenty_clients_at_once_each_get_everything(
    make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
) -> None:
    stage = make_stage()
    clients = [HandClient(stage.address) for _ in range(20)]

    def joined() -> bool:
        stage.say()
        return all(client.alive and client.model is not None for client in clients)

    until(joined)
    for index in range(30):
        stage.show(make_result(index))
    for client in clients:
        got = [message.result.frame.index for message in islice(client.stream(), 30)]
        assert got == list(range(30))
        assert client.lost == 0
        client.close()


def test_a_client_resumes_by_itself_when_its_publisher_was_killed_and_started_anew(until: Callable[..., None]) -> None:
    first, address = publish("tcp://127.0.0.1:*")
    with HandClient(address) as client:
        try:
            until(lambda: client.latest(timeout=0.1) is not None)
        finally:
            first.kill()
            first.communicate()
        until(lambda: client.latest(timeout=0.3) is None)
        second, _ = publish(address)
        try:
            until(lambda: client.latest(timeout=0.1) is not None)
            assert client.alive
            assert client.lost == 0
        finally:
            second.kill()
            second.communicate()


def test_a_control_loop_is_never_behind_although_it_reads_seldom(
    make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
) -> None:
    stage, result = make_stage(), make_result(0)
    with HandClient(stage.address) as client:

        def joined() -> bool:
            stage.show(result)
            return client.latest() is not None

        until(joined)
        for _ in range(5):
            for _ in range(100):  # between two reads
                stage.show(result)
                time.sleep(0.001)
            time.sleep(0.3)  # all of it has come
            message = client.latest()
            assert message is not None
            assert message.result.frame.index == stage.index - 1
            assert client.latest() is None
        assert client.lost == 0
