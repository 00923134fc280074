"""`python -m viewers.window ADDRESS [SERVER_KEY CLIENT_KEY]`: the window as `viewer_process` starts it.

It closes on SIGTERM, and when standard input ends.
"""

import select
import sys
from pathlib import Path

from hamba_core.errors import HambaError
from stages.common.stop_signals import stopped_by_signals
from viewers.client import HandClient
from viewers.window.window import HandWindow


def _follow(address: str, keys: list[str]) -> None:
    server_key, client_key = map(Path, keys) if len(keys) == 2 else (None, None)
    with HandClient(address, images=True, server_key=server_key, client_key=client_key) as client:
        window = HandWindow(client)
        try:
            with stopped_by_signals(window.stop):
                while window.step() and not select.select([sys.stdin], [], [], 0)[0]:
                    pass
        finally:
            window.close()


if __name__ == "__main__":
    try:
        _follow(sys.argv[1], sys.argv[2:])
    except HambaError as error:
        sys.exit(str(error))
