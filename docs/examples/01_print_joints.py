"""Print where the fingertips are.

hamba run 0                              # or: hamba play out/clip, a recording
python docs/examples/01_print_joints.py  # [ADDRESS]
"""

import os
import sys
from contextlib import suppress

from hamba_core.hand import FINGERS, JOINT_NAMES
from stages.common.address import DEFAULT_ADDRESS
from viewers.client import HandClient

TIPS = [JOINT_NAMES.index(f"{finger}_4") for finger in FINGERS]


def main(address: str = DEFAULT_ADDRESS) -> None:
    with HandClient(address) as client:
        for message in client.stream():
            for hand in message.result.hands:
                tips = hand.joints[TIPS] * 100  # metres to centimetres; x right, y down, z away from the camera
                places = "  ".join(
                    f"{finger} ({x:5.1f} {y:5.1f} {z:5.1f})" for finger, (x, y, z) in zip(FINGERS, tips, strict=True)
                )
                print(f"{message.result.frame.index:6} {hand.side:5} {places}", flush=True)


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            main(*sys.argv[1:])
    except BrokenPipeError:  # whoever read this, as `head` does, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
