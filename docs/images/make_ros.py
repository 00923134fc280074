"""Makes ros_frames.png: the frames that a bag has in /tf at one moment, drawn as RViz draws them.

hamba export out/demo --to rosbag; python docs/images/make_ros.py out/demo/hands-rosbag
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from rosbags.highlevel import AnyReader
from scipy.spatial.transform import Rotation

HERE = Path(__file__).parent
MESSAGE = 90


def main(bag: Path) -> None:
    with AnyReader([bag]) as reader:
        connections = [connection for connection in reader.connections if connection.topic == "/tf"]
        for number, (connection, _, raw) in enumerate(reader.messages(connections)):
            if number == MESSAGE:
                tf = reader.deserialize(raw, connection.msgtype)
    frames, parents = {}, {}
    for each in tf.transforms:
        q, t = each.transform.rotation, each.transform.translation
        T = np.eye(4)
        T[:3, :3] = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
        T[:3, 3] = t.x, t.y, t.z
        parent = each.header.frame_id
        frames[each.child_frame_id], parents[each.child_frame_id] = frames.get(parent, np.eye(4)) @ T, parent
    axes = plt.figure(figsize=(9, 4), dpi=90).add_subplot(projection="3d")
    axes.view_init(elev=-75, azim=-90)
    axes.set_axis_off()
    for name, T in frames.items():
        place = T[:3, 3]
        if parents[name] in frames:
            axes.plot(*np.stack([frames[parents[name]][:3, 3], place], 1), color="#bbbbbb", linewidth=2)
        for column, colour in enumerate(("#d62728", "#2ca02c", "#1f77b4")):
            axes.plot(*np.stack([place, place + 0.016 * T[:3, column]], 1), color=colour, linewidth=1.6)
        if name.endswith(("wrist", "index_4")):
            axes.text(*place, f" {name}", fontsize=7)
    axes.set_aspect("equal")
    axes.figure.subplots_adjust(-0.25, -0.5, 1.25, 1.5)
    axes.figure.savefig(HERE / "ros_frames.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
