"""The publisher and the client library, over real sockets on the loopback interface."""

import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import nan
from pathlib import Path

import pytest
import zmq
import zmq.auth
from pydantic import ValidationError

from hamba_core.errors import ConfigurationError, OutputError
from stages import wire
from stages.packets import ClockAnchor, FrameResult, Image, Percentiles, RunInfo, Status
from stages.publishing import Publisher, PublishSettings, is_local, load_secret_key
from stages.publishing.pictures import to_jpeg
from viewers.client import HandClient

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]
Until = Callable[..., None]
Join = Callable[..., HandClient]
NOTHING = Percentiles(nan, nan, nan)


def status(state: str = "running") -> Status:
    return Status("hands", state, "", 1.0, 1, 0, 30.0, NOTHING, (), (), {})


@pytest.fixture
def publisher(make_run: MakeRun) -> Iterator[Publisher]:
    publisher = Publisher(PublishSettings(address="tcp://127.0.0.1:*"))
    publisher.open(make_run())
    yield publisher
    publisher.close()


@pytest.fixture
def join(until: Until) -> Join:
    """join(publisher) -> a client that is certainly connected: it has the model."""

    def make(publisher: Publisher, *, images: bool = False) -> HandClient:
        client = HandClient(publisher.address, images=images)

        def joined() -> bool:
            publisher.status(status())
            client.alive  # noqa: B018 - reads what has come
            return client.model is not None

        until(joined)
        return client

    return make


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


def test_pictures_come_at_most_at_the_stated_width_and_rate(
    make_run: MakeRun, make_result: MakeResult, join: Join, until: Until
) -> None:
    import cv2
    import numpy as np

    settings = PublishSettings(address="tcp://127.0.0.1:*", images=True, image_width=320, image_rate=10)
    publisher = Publisher(settings)
    publisher.open(make_run())
    with join(publisher, images=True) as client:

        def received(count: int) -> bool:
            return client.alive and client.received == count

        pictures: list[wire.ImageMessage] = []
        for index in range(9):  # 30 frames/s for 0.3 s
            publisher.write(make_result(index, image=True))
            until(partial(received, index + 1))
            if client.image is not None and (not pictures or client.image is not pictures[-1]):
                pictures.append(client.image)
        assert 2 <= len(pictures) <= 3
        decoded = cv2.imdecode(np.frombuffer(pictures[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.shape == (240, 320, 3)
        assert pictures[0].frame.width == 640
    publisher.close()


@pytest.mark.parametrize(
    ("address", "images", "expected"),
    [
        ("tcp://127.0.0.1:*", None, True),
        ("tcp://127.0.0.1:*", False, False),
        ("tcp://0.0.0.0:*", None, False),
        ("tcp://0.0.0.0:*", True, True),
    ],
)
def test_pictures_are_published_unasked_where_this_machine_alone_can_connect(
    make_run: MakeRun, make_result: MakeResult, join: Join, until: Until,
    address: str, images: bool | None, expected: bool,
) -> None:  # fmt: skip
    publisher = Publisher(PublishSettings(address=address, images=images))
    publisher.open(make_run())
    with join(publisher, images=True) as client:

        def seen() -> bool:
            publisher.write(make_result(image=True))
            return client.alive and (client.image is not None if expected else client.received > 20)

        until(seen)
        assert (client.image is not None) == expected
    publisher.close()


def test_pictures_are_encoded_for_those_alone_who_look(
    make_run: MakeRun, make_result: MakeResult, join: Join, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []

    def counted(image: Image, width: int) -> bytes:
        encoded.append(width)
        return to_jpeg(image, width)

    monkeypatch.setattr("stages.publishing.publisher.to_jpeg", counted)
    publisher = Publisher(PublishSettings(address="tcp://127.0.0.1:*"))
    publisher.open(make_run())
    with join(publisher) as client:
        publisher.write(make_result(0, image=True))
        until(lambda: client.alive and client.received == 1)
        assert not encoded
    with join(publisher, images=True) as client:

        def looks() -> bool:
            publisher.write(make_result(1, image=True))
            return client.alive and client.image is not None

        until(looks)
        assert encoded

    def nobody_looks() -> bool:
        publisher.write(make_result(2))
        return not publisher._audience.wants_pictures

    until(nobody_looks)
    encoded.clear()
    publisher.write(make_result(3, image=True))
    assert not encoded
    publisher.close()


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


class TestCurve:
    """Only the clients whose public keys are in the folder may connect."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> Path:
        for folder in ("server", "clients", "strangers"):
            (tmp_path / folder).mkdir()
        zmq.auth.create_certificates(tmp_path / "server", "server")
        zmq.auth.create_certificates(tmp_path / "clients", "friend")
        zmq.auth.create_certificates(tmp_path / "strangers", "stranger")
        return tmp_path

    @pytest.fixture
    def secured(self, keys: Path, make_run: MakeRun) -> Iterator[Publisher]:
        settings = PublishSettings(
            address="tcp://127.0.0.1:*", server_key=keys / "server/server.key_secret", clients=keys / "clients"
        )
        publisher = Publisher(settings)
        publisher.open(make_run())
        yield publisher
        publisher.close()

    def test_a_known_client_gets_hands_and_others_get_nothing(
        self, keys: Path, secured: Publisher, make_result: MakeResult, until: Until
    ) -> None:
        server_key = keys / "server/server.key"
        with (
            HandClient(secured.address, server_key=server_key, client_key=keys / "clients/friend.key_secret") as friend,
            HandClient(
                secured.address, server_key=server_key, client_key=keys / "strangers/stranger.key_secret"
            ) as stranger,
            HandClient(secured.address) as plain,
        ):

            def received() -> bool:
                secured.write(make_result(0))
                return friend.latest() is not None

            until(received)
            for _ in range(20):
                secured.write(make_result(0))
                assert stranger.latest(timeout=0.02) is None
                assert plain.latest() is None

    def test_a_client_whose_key_is_taken_away_hears_no_more_and_a_new_one_is_let_in(
        self, keys: Path, secured: Publisher, make_result: MakeResult, until: Until
    ) -> None:
        server_key = keys / "server/server.key"
        with HandClient(
            secured.address, server_key=server_key, client_key=keys / "clients/friend.key_secret"
        ) as friend:

            def received() -> bool:
                secured.write(make_result(0))
                return friend.latest() is not None

            until(received)
            address = secured.address
            (keys / "clients/friend.key").unlink()
            (keys / "clients/other.key").write_bytes((keys / "strangers/stranger.key").read_bytes())
            secured.status(status())
            assert secured.address == address
            friend.latest()
            stranger_key = keys / "strangers/stranger.key_secret"
            with HandClient(address, server_key=server_key, client_key=stranger_key) as stranger:

                def other_received() -> bool:
                    secured.write(make_result(0))
                    return stranger.latest() is not None

                until(other_received)
            friend.latest()
            for _ in range(20):
                secured.write(make_result(0))
                assert friend.latest(timeout=0.02) is None

    def test_a_secret_key_that_others_can_read_is_warned_of(self, keys: Path, caplog: pytest.LogCaptureFixture) -> None:
        secret = keys / "server/server.key_secret"
        secret.chmod(0o600)
        load_secret_key(secret)
        assert "can read" not in caplog.text
        secret.chmod(0o644)
        try:
            load_secret_key(secret)
        finally:
            secret.chmod(0o600)
        assert "can read this secret key" in caplog.text

    @pytest.mark.parametrize(
        ("server", "client", "here", "there"),
        [
            (
                "server/server.key",
                "strangers/stranger.key_secret",
                "does not know this client's key",
                "not in the folder",
            ),
            ("strangers/stranger.key", "clients/friend.key_secret", "--server-key is not its own", "is not ours"),
            (None, None, "only one of the two sides has CURVE keys", "came without keys"),
        ],
    )
    def test_a_refusal_is_told_on_both_sides(
        self, keys: Path, secured: Publisher, caplog: pytest.LogCaptureFixture,
        until: Until, server: str | None, client: str | None, here: str, there: str,
    ) -> None:  # fmt: skip
        server_key, client_key = (keys / name if name else None for name in (server, client))
        with (
            caplog.at_level(logging.WARNING),
            HandClient(secured.address, server_key=server_key, client_key=client_key) as refused,
        ):

            def told() -> bool:
                secured.status(status())
                return refused.state == "refused" and there in caplog.text

            until(told)
            assert here in refused.refusal
            for _ in range(3):
                secured.status(status())
            assert caplog.text.count(there) == 1

    def test_missing_keys_are_named(self, keys: Path, make_run: MakeRun) -> None:
        with pytest.raises(ConfigurationError, match=r"expected publish\.server_key beside it"):
            Publisher(PublishSettings(address="tcp://127.0.0.1:*", clients=keys))
        publisher = Publisher(PublishSettings(address="tcp://127.0.0.1:*", server_key=keys / "none", clients=keys))
        with pytest.raises(ConfigurationError, match="expected a CURVE key made by"):
            publisher.open(make_run())
        publisher.close()
        (keys / "nobody").mkdir()
        settings = PublishSettings(
            address="tcp://127.0.0.1:*", server_key=keys / "server/server.key_secret", clients=keys / "nobody"
        )
        publisher = Publisher(settings)
        with pytest.raises(ConfigurationError, match=r"expected a folder of public keys \(\*\.key\)"):
            publisher.open(make_run())
        publisher.close()
        with pytest.raises(ConfigurationError, match="CURVE needs two files"):
            HandClient(server_key=keys / "server/server.key")


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
