"""`hamba view`: the window."""

from contextlib import suppress

from pipeline.commands.options import Address, ClientKey, ServerKey
from stages.common.address import DEFAULT_ADDRESS


def view(address: Address = DEFAULT_ADDRESS, server_key: ServerKey = None, client_key: ClientKey = None) -> None:
    """Show published hands in a window: through the camera or from anywhere. Press H in it for its keys."""
    from viewers.client import HandClient
    from viewers.terminal_line import TerminalLine
    from viewers.window import HandWindow

    with (
        suppress(KeyboardInterrupt),
        HandClient(address, images=True, server_key=server_key, client_key=client_key) as client,
        TerminalLine() as line,
    ):
        window = HandWindow(client, say=line.say)
        try:
            while window.step():
                if line.due:
                    numbers = window.watch.numbers()
                    line.show(numbers.words, numbers.line())
        finally:
            window.close()
