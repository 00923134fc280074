"""`hamba vmc`: published hands for VRM avatars."""

from typing import Annotated

import typer

from pipeline.commands.options import ClientKey, ServerKey, Shown, Take
from pipeline.commands.watching import sent_over_osc
from stages.common.address import DEFAULT_ADDRESS


def vmc(
    address: Shown = DEFAULT_ADDRESS,
    take: Take = None,
    host: Annotated[str, typer.Option(help="The receiver's host.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="The receiver's port: 39540 for performers, 39539 for marionettes.")
    ] = 39540,
    height: Annotated[float, typer.Option(metavar="M", help="Height of the camera above the floor.")] = 1.2,
    distance: Annotated[float, typer.Option(metavar="M", help="Distance of the camera from the person.")] = 0.6,
    trackers: Annotated[
        bool, typer.Option("--trackers/--no-trackers", help="Also send wrists, as hand controllers for arm IK.")
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
