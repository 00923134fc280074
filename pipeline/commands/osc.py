"""`hamba osc`: published hands as plain OSC."""

from typing import Annotated

import typer

from hamba_core.errors import ConfigurationError
from pipeline.commands.options import ClientKey, ServerKey, Shown, Take
from pipeline.commands.watching import sent_over_osc
from stages.common.address import DEFAULT_ADDRESS


def osc(
    address: Shown = DEFAULT_ADDRESS,
    take: Take = None,
    host: Annotated[str, typer.Option(help="The receiver's host.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The receiver's port.")] = 9000,
    prefix: Annotated[str, typer.Option(help="Prefix of all OSC addresses.")] = "/hamba",
    server_key: ServerKey = None,
    client_key: ClientKey = None,
) -> None:
    """Send published hands, or a recording's, as OSC: joints, wrist, curl of each finger, pinch."""
    from viewers.avatars import osc_messages

    if not prefix.startswith("/") or prefix.endswith("/") or any(sign in prefix for sign in " #*,?[]{}"):
        raise ConfigurationError(f"--prefix: expected an OSC address such as /hamba, found {prefix!r}")
    sent_over_osc(address, take, host, port, server_key, client_key, lambda result: osc_messages(result, prefix))
