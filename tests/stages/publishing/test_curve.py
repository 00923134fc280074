"""With CURVE keys only chosen clients may connect, and a refusal is told on both sides."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
import zmq.auth

from hamba_core.errors import ConfigurationError
from stages.publishing import Publisher, PublishSettings, load_secret_key
from tests.stages.publishing.conftest import MakeResult, MakeRun, Until, status
from viewers.client import HandClient


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
