"""Print where wrists are in the world, for example on a table that a robot shares.

    hamba run 'synthetic:?live=1' --set source.world.pose=docs/examples/05_pose.yaml   # or a camera, and a board
    python docs/examples/05_world.py                                                   # [ADDRESS]

Frames without a known camera pose are skipped; docs/world.md shows how to give one.
"""

import os
import sys
from contextlib import suppress

from stages.common.address import DEFAULT_ADDRESS
from viewers.client import HandClient


def main(address: str = DEFAULT_ADDRESS) -> None:
    with HandClient(address) as hands:
        for message in hands.stream():
            frame = message.result.frame
            if frame.world is None:
                continue
            for hand in message.result.hands:
                x, y, z = hand.in_world(frame.world).joints[0]
                print(
                    f"{frame.pts:.2f} s  {hand.side}  {x:+.3f} {y:+.3f} {z:+.3f} m  by {frame.world.origin}", flush=True
                )


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            main(*sys.argv[1:])
    except BrokenPipeError:  # whoever read this, as `head` does, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
