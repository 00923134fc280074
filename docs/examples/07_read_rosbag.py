"""Read hands from a ROS 2 bag, without ROS.

hamba export out/clip --to rosbag                                # pip install 'hamba-stream[ros]'
python docs/examples/07_read_rosbag.py out/clip/hands-rosbag
"""

import os
import sys
from pathlib import Path

import numpy as np
from rosbags.highlevel import AnyReader


def main(bag: str) -> None:
    with AnyReader([Path(bag)]) as reader:
        for connection in reader.connections:
            print(f"{connection.msgcount:6} {connection.topic}  {connection.msgtype}")
        for connection, stamp, raw in reader.messages():
            if connection.topic.endswith("/joints"):
                poses = reader.deserialize(raw, connection.msgtype).poses
                x, y, z = np.array([poses[8].position.x, poses[8].position.y, poses[8].position.z])
                print(f"{stamp / 1e9:.3f} {connection.topic}: index finger's tip at ({x:.3f} {y:.3f} {z:.3f}) m")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except BrokenPipeError:  # whoever read this, as `head` does, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
