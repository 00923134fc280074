"""`hamba web`: the browser page."""

from contextlib import suppress
from typing import Annotated

import typer

from pipeline.commands.options import ClientKey, Mirror, Robot, ServerKey, Shown, Take
from pipeline.commands.watching import played
from stages.common.address import DEFAULT_ADDRESS


def web(
    address: Shown = DEFAULT_ADDRESS,
    take: Take = None,
    mirror: Mirror = False,
    host: Annotated[
        str, typer.Option(help="Address to serve the page on; 0.0.0.0 for every machine in the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 8080,
    token: Annotated[
        bool | None,
        typer.Option(
            "--token/--no-token",
            help="Require a token, which is in the printed address. \\[default: beyond this machine]",
            show_default=False,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Origin of another page that may show these hands, such as https://example.org, or of a proxy."
        ),
    ] = None,
    robot: Robot = None,
    server_key: ServerKey = None,
    client_key: ClientKey = None,
) -> None:
    """Show published hands, or a recording, in a browser, for example on a phone or tablet."""
    from viewers.client import HandClient
    from viewers.terminal_line import TerminalLine
    from viewers.web import HandPage, is_loopback, new_token

    companion = None
    if robot is not None:
        from viewers.robots.retarget import Retargeter, RobotsOnPage

        companion = RobotsOnPage(Retargeter.of(robot))
    with (
        suppress(KeyboardInterrupt),
        played(address, take, server_key, client_key) as (followed, player),
        HandClient(followed, images=True, server_key=server_key, client_key=client_key) as client,
        TerminalLine() as line,
    ):
        if token is None:
            token = not is_loopback(host)
        page = HandPage(
            client,
            host=host,
            port=port,
            allow_origins=allow_origin or (),
            token=new_token() if token else None,
            player=player,
            mirror=mirror,
            companion=companion,
        )
        try:
            line.say(f"open {page.address} in a browser; Ctrl-C ends")
            if not token and not is_loopback(host):
                line.say(f"anyone who reaches {page.address} can watch these hands: it is not a loopback address")
            while True:
                page.step()
                if line.due:
                    numbers = page.watch.numbers()
                    line.show(numbers.words, numbers.line())
        finally:
            page.close()
