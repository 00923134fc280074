"""`hamba ros`: published hands on ROS 2."""

from contextlib import suppress
from typing import Annotated

import typer

from pipeline.commands.options import Address, ClientKey, Robot, ServerKey
from stages.common.address import DEFAULT_ADDRESS


def ros(
    address: Address = DEFAULT_ADDRESS,
    parent: Annotated[
        str,
        typer.Option(help="Parent frame of the hands. \\[default: STREAM_camera_optical_frame]", show_default=False),
    ] = "",
    world: Annotated[str, typer.Option(help="Parent frame of --parent, if the run knows the camera's pose.")] = "world",
    mesh: Annotated[bool, typer.Option("--mesh/--no-mesh", help="Publish meshes as markers.")] = True,
    robot: Robot = None,
    server_key: ServerKey = None,
    client_key: ClientKey = None,
) -> None:
    """Publish hands on ROS 2 (source it first): joints, meshes, frames in /tf, the camera."""
    from pipeline.given_names import check_published
    from viewers.client import HandClient
    from viewers.robots.retarget import Retargeter
    from viewers.robots.ros import RosNode
    from viewers.terminal_line import TerminalLine
    from viewers.watch import Watch

    check_published(address)
    retargeter = None if robot is None else Retargeter.of(robot)
    with (
        suppress(KeyboardInterrupt),
        HandClient(address, server_key=server_key, client_key=client_key) as client,
        TerminalLine() as line,
    ):
        node = RosNode(client, parent=parent, world=world, mesh=mesh, retargeter=retargeter)
        watch = Watch(client)
        try:
            while node.going:
                message = node.step()
                if message is not None:
                    watch.shown(message)
                if line.due:
                    numbers = watch.numbers()
                    line.show(numbers.words, f"{numbers.line()}  {node.published} published")
        finally:
            node.close()
