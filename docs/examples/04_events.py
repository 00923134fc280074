"""Print the gestures that hands begin and end.

    hamba run 'synthetic:?acts=gestures&live=1'   # or a camera: hamba run 0
    python docs/examples/04_events.py             # [ADDRESS]

For a robot's clutch, check for `pinch` and a confidence of your choice; the events of a hand that has gone end.
"""

import os
import sys
from contextlib import suppress

from stages.common.address import DEFAULT_ADDRESS
from viewers.client import HandClient

SURE = 0.5


def main(address: str = DEFAULT_ADDRESS) -> None:
    with HandClient(address) as hands:
        for event in hands.events():
            if event.phase == "end" or event.confidence >= SURE:
                print(
                    f"{event.side} {event.kind} {event.phase}, {event.held:.2f} s, confidence {event.confidence:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            main(*sys.argv[1:])
    except BrokenPipeError:  # whoever read this, as `head` does, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
