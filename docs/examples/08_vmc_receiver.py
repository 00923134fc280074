"""Receive an avatar's finger bones, as VMC receivers do.

pip install 'hamba-stream[avatars]'
python docs/examples/08_vmc_receiver.py   # [PORT]
hamba vmc out/clip                        # or, live: hamba run 0 & hamba vmc
"""

import sys
from contextlib import suppress
from math import acos, degrees

from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer

# A bone has a local position and, the last four, a rotation relative to the T-pose: a quaternion x, y, z, w.
bent: dict[str, float] = {}


def take_bone(address: str, name: str, *numbers: float) -> None:
    bent[name] = degrees(2 * acos(min(1.0, abs(numbers[6]))))


def tell(address: str, time: float) -> None:
    """Print a line for each frame: every frame has the sender's time."""
    fingers = ("LeftIndexProximal", "LeftIndexIntermediate", "RightIndexProximal", "RightIndexIntermediate")
    print(f"{time:7.2f} s  " + "  ".join(f"{name} {bent.get(name, 0):3.0f}°" for name in fingers), flush=True)


def main(port: str = "39540") -> None:
    dispatcher = Dispatcher()
    dispatcher.map("/VMC/Ext/Bone/Pos", take_bone)
    dispatcher.map("/VMC/Ext/T", tell)
    with BlockingOSCUDPServer(("127.0.0.1", int(port)), dispatcher) as server:
        server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
