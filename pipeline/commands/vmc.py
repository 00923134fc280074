"""`hamba vmc`: published hands for VRM avatars."""

from typing import Annotated

import typer

from pipeline.commands.options import ClientKey, ServerKey, Shown, Take
from pipeline.commands.watching import sent_over_osc
from stages.common.address import DEFAULT_ADDRESS


def vmc(
    address: Shown = DEFAULT_ADDRESS,
    take: Take = None,
    host: Annotated[str, typer.Option(help="Where the receiver is.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Its port: 39540 of performers, 39539 of marionettes.")
    ] = 39540,
    height: Annotated[float, typer.Option(metavar="M", help="Of the camera above the floor.")] = 1.2,
    distance: Annotated[float, typer.Option(metavar="M", help="Of the camera before the person.")] = 0.6,
    trackers: Annotated[
        bool, typer.Option("--trackers/--no-trackers", help="Wrists too, as hand controllers for the arms' IK.")
    ] = True,
    server_key: ServerKey = None,
    client_key: ClientKey = None,
) -> None:
    """Send published hands, or a recording's, to VMC receivers: finger bones of VRM avatars, and wrists."""
    import time

    import numpy as np

    from viewers.avatars import vmc_messages

    camera, begin = np.array([0.0, height, distance]), time.monotonic()
    sent_over_osc(
        address, take, host, port, server_key, client_key,
        lambda result: vmc_messages(result, time.monotonic() - begin, camera, trackers=trackers),
    )  # fmt: skip
