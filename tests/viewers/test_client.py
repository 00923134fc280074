"""The client library with many clients, slow ones, and publishers that are killed."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from stages.packets import FrameResult, HandEvent
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


@pytest.mark.parametrize("conflate", [False, True])
def test_a_client_made_from_the_protocols_page_alone_reads_everything(
    make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None], conflate: bool
) -> None:
    stage, result = make_stage(images=True), make_result(0, image=True)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    seen: dict[str, list[dict[str, Any]]] = {}
    sockets = []
    for topic in ("hands/", "model/", "status/", "image/") if conflate else ("",):
        sockets.append(context.socket(zmq.SUB))
        sockets[-1].setsockopt(zmq.CONFLATE, conflate)
        sockets[-1].subscribe(topic)
        sockets[-1].connect(stage.address)

    def read() -> bool:
        stage.show(result)
        stage.say()
        time.sleep(0.02)
        for one in sockets:
            while one.poll(0):
                topic, _, content = one.recv().partition(b"\0")
                kind, _, stream = topic.decode().partition("/")
                fields = msgspec.msgpack.decode(content)
                assert (fields["v"], fields["stream"]) == (3, stream)
                seen.setdefault(kind, []).append(fields)
        return len(seen) == 4 and len(seen["hands"]) > 5

    def numbers(array: dict[str, Any]) -> Any:
        return np.frombuffer(array["b"], array["t"]).reshape(array["s"])

    until(read)
    for fields in seen["hands"]:
        for hand, sent in zip(fields["hands"], result.hands, strict=True):
            assert (hand["id"], hand["side"]) == (sent.track_id, sent.side)
            for name in (
                "vertices",
                "joints",
                "joints_2d",
                "hand_pose",
                "global_orient",
                "betas",
                "translation",
                "box",
            ):
                np.testing.assert_array_equal(numbers(hand[name]), getattr(sent, name))
    seqs = [fields["seq"] for fields in seen["hands"]]
    assert seqs == sorted(set(seqs))
    model = seen["model"][-1]
    assert model["vertices"] == len(result.hands[0].vertices)
    assert numbers(model["faces_left"]).max() < model["vertices"]
    assert seen["image"][0]["jpeg"].startswith(b"\xff\xd8")
    assert seen["status"][0]["state"] == "running"
    for one in sockets:
        one.close(0)
    context.term()


def test_events_come_one_by_one_without_holds_unless_they_are_asked_for(
    make_stage: Callable[..., Any], make_result: Callable[..., Any], until: Callable[..., None]
) -> None:
    stage, result = make_stage(), make_result(0)
    events = (
        HandEvent(1, "right", "pinch", "start", 0.9, 0.0),
        HandEvent(1, "right", "grab", "hold", 0.9, 0.5),
        HandEvent(2, "left", "open", "end", 0.1, 1.0),
    )
    with HandClient(stage.address) as client:

        def heard() -> bool:
            stage.show(replace(result, events=events))
            return client.latest(0.05) is not None

        until(heard)
        stage.show(replace(result, events=events))
        found = [(event.kind, event.phase) for event in client.events(timeout=0.3)]
        assert found[:2] == [("pinch", "start"), ("open", "end")]
        assert client.newest is not None
        stage.show(replace(result, events=events))
        assert [event.phase for event in client.events(timeout=0.3, holds=True)] == ["start", "hold", "end"]
