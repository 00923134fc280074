"""`hamba view`: the window."""

from contextlib import suppress

from pipeline.commands.options import ClientKey, Mirror, ServerKey, Shown, Take
from pipeline.commands.watching import played
from stages.common.address import DEFAULT_ADDRESS


def view(
    address: Shown = DEFAULT_ADDRESS,
    take: Take = None,
    mirror: Mirror = False,
    server_key: ServerKey = None,
    client_key: ClientKey = None,
) -> None:
    """Show published hands, or a recording, in a window: the camera's view or any other. H shows the keys."""
    from viewers.client import HandClient
    from viewers.terminal_line import TerminalLine
    from viewers.window import HandWindow

    with (
        suppress(KeyboardInterrupt),
        played(address, take, server_key, client_key) as (followed, player),
        HandClient(followed, images=True, server_key=server_key, client_key=client_key) as client,
        TerminalLine() as line,
    ):
        window = HandWindow(client, say=line.say, player=player, mirror=mirror)
        try:
            while window.step():
                if line.due:
                    numbers = window.watch.numbers()
                    line.show(numbers.words, numbers.line())
        finally:
            window.close()
