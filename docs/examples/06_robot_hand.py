"""Move a robot's hand: read the joint angles that `hamba retarget` publishes.

    hamba run 0                               # or: hamba play out/clip
    hamba retarget --robot leap               # pip install 'hamba-stream[robots]'
    python docs/examples/06_robot_hand.py     # [ADDRESS]

It needs only pyzmq and msgspec; `docs/protocol.md` describes the message. Send to your robot's driver what is printed
here: positions by joint name, and the wrist's target, as its motion since it was taken up.
"""

import os
import sys
from contextlib import suppress

import msgspec
import zmq


def main(address: str = "tcp://127.0.0.1:5567") -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.CONFLATE, 1)  # the newest only: a robot is never behind
        socket.linger = 0
        socket.subscribe("robot/")
        socket.connect(address)
        while True:
            message = msgspec.msgpack.decode(socket.recv().partition(b"\0")[2])
            for hand in message["hands"]:
                commands = dict(zip(hand["names"], hand["positions"], strict=True))
                x, y, z = (100 * metres for metres in hand["target"]["position"])
                some = "  ".join(f"{name} {angle:5.2f}" for name, angle in list(commands.items())[:4])
                print(f"{hand['side']:5} {hand['state']:9} wrist ({x:5.1f} {y:5.1f} {z:5.1f}) cm  {some}", flush=True)


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            main(*sys.argv[1:])
    except BrokenPipeError:  # whoever read this, as `head` does, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
