"""`hamba keys new`: pairs that let chosen clients in."""

from collections.abc import Callable
from pathlib import Path

import pytest
from zmq.auth import load_certificate

from hamba_core.errors import ConfigurationError, OutputError
from pipeline.commands.keys import make_keys
from stages.packets import FrameResult, RunInfo
from stages.publishing import Publisher, PublishSettings
from viewers.client import HandClient


def test_the_secret_file_is_its_owners_alone_and_the_public_one_has_no_secret(tmp_path: Path) -> None:
    public, secret = make_keys("robot", tmp_path / "keys")
    assert (public.name, secret.name) == ("robot.key", "robot.key_secret")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    assert load_certificate(public)[1] is None
    assert load_certificate(secret)[1] is not None
    assert load_certificate(public)[0] == load_certificate(secret)[0]


def test_existing_keys_are_never_replaced(tmp_path: Path) -> None:
    _, secret = make_keys("robot", tmp_path)
    before = secret.read_bytes()
    with pytest.raises(OutputError, match="already there"):
        make_keys("robot", tmp_path)
    assert secret.read_bytes() == before


@pytest.mark.parametrize("name", ["", "../robot", "a b", "x" * 65])
def test_names_are_plain(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected a name"):
        make_keys(name, tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write keys to"):
        make_keys("robot", tmp_path / "file" / "keys")


def test_a_client_with_made_keys_gets_hands(
    tmp_path: Path,
    make_run: Callable[..., RunInfo],
    make_result: Callable[..., FrameResult],
    until: Callable[..., None],
) -> None:
    server_public, server_secret = make_keys("server", tmp_path)
    _, client_secret = make_keys("robot", tmp_path / "clients")
    publisher = Publisher(
        PublishSettings(address="tcp://127.0.0.1:*", server_key=server_secret, clients=tmp_path / "clients")
    )
    publisher.open(make_run())
    with HandClient(publisher.address, server_key=server_public, client_key=client_secret) as client:

        def arrived() -> bool:
            publisher.write(make_result(0))
            return client.latest() is not None

        until(arrived)
    publisher.close()
