"""Open and close a robot's gripper with thumb and index finger.

    hamba run 0
    python docs/examples/02_gripper_from_pinch.py  # [ADDRESS]

A control loop needs the newest hands, not every message: `latest` discards older ones, so the gripper never lags,
however slow the loop. Without a hand, or without a publisher, the gripper stays where it is.
"""

import os
import sys
from contextlib import suppress

import numpy as np

from hamba_core.hand import JOINT_NAMES
from stages.common.address import DEFAULT_ADDRESS
from stages.packets import Hand
from viewers.client import HandClient

THUMB_TIP, INDEX_TIP = JOINT_NAMES.index("thumb_4"), JOINT_NAMES.index("index_4")
CLOSED, OPEN = 0.02, 0.10  # metres between the two joints that close and open the gripper
PERIOD = 0.05  # seconds: the loop's


def opening(hand: Hand) -> float:
    """0 (closed) to 1 (open)."""
    pinch = float(np.linalg.norm(hand.joints[THUMB_TIP] - hand.joints[INDEX_TIP]))
    return min(1.0, max(0.0, (pinch - CLOSED) / (OPEN - CLOSED)))


def main(address: str = DEFAULT_ADDRESS) -> None:
    commanded = 1.0
    with HandClient(address) as client:
        while True:
            message = client.latest(timeout=PERIOD)
            right = [hand for hand in message.result.hands if hand.side == "right"] if message else []
            if right:
                commanded += 0.5 * (opening(right[0]) - commanded)  # smooth: motors dislike jumps
            state = "following" if right else "holding" if client.alive else "no publisher"
            print(f"gripper {commanded:.2f}  {state}", flush=True)  # here goes your robot's own command


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            main(*sys.argv[1:])
    except BrokenPipeError:  # whoever read this, as `head` does, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
