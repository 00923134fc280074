"""The publisher and the client library, over real sockets on the loopback interface."""

import logging
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import zmq
import zmq.auth
from pydantic import ValidationError

from hamba_core.errors import ConfigurationError, OutputError
from stages import wire
from stages.packets import ClockAnchor
from stages.publishing import Publisher, PublishSettings, is_local
from tests.stages.publishing.conftest import Join, MakeResult, MakeRun, Until, status
from viewers.client import HandClient


def test_hands_arrive_as_they_were_sent(publisher: Publisher, make_result: MakeResult, join: Join) -> None:
    with join(publisher) as client:
        sent = make_result(5)
        publisher.write(sent)
        got = client.latest(timeout=5)
        assert got is not None
        assert got.result.frame.index == 5
        assert [hand.side for hand in got.result.hands] == ["right", "left"]
        assert (got.result.hands[0].vertices == sent.hands[0].vertices).all()
        assert client.latest() is None, "nothing new"


def test_a_late_client_has_the_model_before_its_first_hands(
    publisher: Publisher, make_result: MakeResult, join: Join, until: Until
) -> None:
    with join(publisher), HandClient(publisher.address) as late:

        def received() -> bool:
            publisher.write(make_result(1))
            late.alive  # noqa: B018 - reads what has come
            if late.received:
                assert late.model is not None
            return late.received > 0

        until(received)
        assert late.model is not None
        assert late.model.topology.vertices == make_result(1).hands[0].vertices.shape[0]


def test_latest_gives_the_newest_and_stream_gives_every_one(
    publisher: Publisher, make_result: MakeResult, join: Join, until: Until
) -> None:
    with join(publisher) as newest, join(publisher) as every:
        for index in range(50):
            publisher.write(make_result(index))
        until(lambda: newest.alive and newest.received == 50)
        got = newest.latest()
        assert got is not None
        assert got.result.frame.index == 49
        assert [message.result.frame.index for message in every.stream(timeout=0.5)] == list(range(50))
        assert every.lost == newest.lost == 0


def test_a_client_that_does_not_read_costs_a_bounded_queue_and_sees_what_it_lost(
    make_run: MakeRun, make_result: MakeResult
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher = Publisher(PublishSettings(address="inproc://hands", queue=10), context)
    publisher.open(make_run())
    slow = context.socket(zmq.SUB)
    slow.rcvhwm = 10
    slow.subscribe("hands/")
    slow.connect("inproc://hands")
    result = make_result(0)
    for _ in range(500):
        publisher.write(result)  # would block here if it ever waited
    seqs = []
    while slow.poll(100):
        message = wire.decode(slow.recv())
        assert isinstance(message, wire.HandsMessage)
        seqs.append(message.seq)
    assert 0 < len(seqs) <= 20
    publisher.write(result)
    message = wire.decode(slow.recv())
    assert isinstance(message, wire.HandsMessage)
    assert message.seq - seqs[-1] > 1, "the loss is a gap in seq"
    publisher.close()
    slow.close(0)
    context.term()


def test_losses_are_counted_by_the_client(
    publisher: Publisher, make_result: MakeResult, join: Join, until: Until
) -> None:
    with join(publisher) as client:
        publisher.write(make_result(0))
        publisher._seq += 7
        publisher.write(make_result(1))
        until(lambda: client.alive and client.received == 2)
        assert client.lost == 7


def test_clients_resume_by_themselves_when_a_publisher_is_started_anew(
    make_run: MakeRun, make_result: MakeResult, join: Join, until: Until
) -> None:
    first = Publisher(PublishSettings(address="tcp://127.0.0.1:*"))
    first.open(make_run())
    address = first.address
    with join(first) as client:
        first.write(make_result(0))
        assert client.latest(timeout=5) is not None
        first.status(status("ended"))
        until(lambda: not client.alive)
        first.close()
        second = Publisher(PublishSettings(address=address))
        second.open(replace(make_run(), clock=ClockAnchor(7, 7)))

        def resumed() -> bool:
            second.write(make_result(1))
            return client.latest() is not None

        until(resumed)
        assert client.alive
        assert client.lost == 0, "what a new publisher sent before we were there is no loss"
        second.close()


def test_an_address_in_use_is_named_with_what_to_do(publisher: Publisher, make_run: MakeRun) -> None:
    second = Publisher(PublishSettings(address=publisher.address))
    with pytest.raises(OutputError, match=r"cannot publish on .*another program .* has it.*--address"):
        second.open(make_run())
    second.close()


def test_an_open_bind_without_keys_is_warned_about(make_run: MakeRun, caplog: pytest.LogCaptureFixture) -> None:
    publisher = Publisher(PublishSettings(address="tcp://0.0.0.0:*"))
    with caplog.at_level(logging.WARNING):
        publisher.open(make_run())
    assert "anyone who reaches" in caplog.text
    assert any(choice.fallback for choice in publisher.choices())
    publisher.close()


def test_a_loopback_bind_is_reported_as_this_machines_alone(publisher: Publisher) -> None:
    assert publisher.address.startswith("tcp://127.0.0.1:")
    [choice] = publisher.choices()
    assert choice.chosen == publisher.address
    assert not choice.fallback


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("tcp://127.0.0.1:5557", True),
        ("tcp://localhost:5557", True),
        ("tcp://[::1]:5557", True),
        ("ipc:///tmp/hands", True),
        ("tcp://0.0.0.0:5557", False),
        ("tcp://*:5557", False),
        ("tcp://192.168.1.2:5557", False),
    ],
)
def test_which_addresses_are_this_machines_alone(address: str, local: bool) -> None:
    assert is_local(address) is local


def test_a_port_that_there_is_not_is_refused_on_both_sides() -> None:
    with pytest.raises(ValidationError, match="expected a port up to 65535"):
        PublishSettings(address="tcp://127.0.0.1:70000")
    with pytest.raises(ConfigurationError, match="expected a port up to 65535"):
        HandClient("tcp://127.0.0.1:70000")


def test_a_bad_address_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="cannot connect to 'nonsense'"):
        HandClient("nonsense")


def test_what_is_not_of_the_protocol_is_counted_and_passed_over(until: Until) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket_ = context.socket(zmq.PUB)
    port = socket_.bind_to_random_port("tcp://127.0.0.1")
    with HandClient(f"tcp://127.0.0.1:{port}") as client:

        def seen() -> bool:
            socket_.send(b"hands/x\0garbage")
            return client.latest() is not None or client.malformed > 0

        until(seen)
        assert client.newest is None
    socket_.close(0)
    context.term()


def test_a_client_survives_a_port_that_speaks_another_protocol() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        HandClient(f"tcp://127.0.0.1:{server.getsockname()[1]}") as client,
    ):
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
            assert client.latest(timeout=0.2) is None
            assert not client.alive


def test_the_client_library_needs_no_torch_and_no_opencv() -> None:
    script = (
        "import sys, viewers.client; print([m for m in ('torch', 'cv2', 'open3d', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
