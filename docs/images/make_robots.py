"""Makes robots.png and robots_page.png: robot hands that follow the clip's, drawn, and on the page in a browser.

hamba demo; python docs/images/make_robots.py out/demo   # the page needs Chromium
"""

import base64
import sys
import time
from pathlib import Path
from threading import Thread

import cv2
import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from make_viewers import browser
from matplotlib import pyplot as plt
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from hamba_core.hand import BONES
from stages.packets import FrameResult
from stages.publishing import Publisher, PublishSettings
from stages.recording import read_recording
from viewers.client import HandClient
from viewers.player import Player
from viewers.robots.retarget import (
    ROBOTS,
    Retargeter,
    RetargetSettings,
    RobotsOnPage,
    joints_in_wrist,
    known_hand,
    link_meshes,
)
from viewers.web import HandPage

HERE = Path(__file__).parent
FRAMES = (30, 60, 90)
LIGHT = np.array([0.7, -0.4, 0.6])


def axes_of(figure: plt.Figure, place: int, columns: int, rows: int, size: float) -> plt.Axes:
    axes = figure.add_subplot(rows, columns, place, projection="3d")
    axes.set_axis_off()
    axes.view_init(elev=8, azim=-20)
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    for setter, middle in ((axes.set_xlim, 0.0), (axes.set_ylim, 0.0), (axes.set_zlim, size * 0.4)):
        setter(middle - size / 2, middle + size / 2)
    return axes


def drawn(results: list[FrameResult]) -> None:
    """A row for each frame: the person's right hand, and each robot's."""
    rows, columns = len(FRAMES), 1 + len(ROBOTS)
    figure = plt.figure(figsize=(1.7 * columns, 1.9 * rows), dpi=90, facecolor="white")
    for column, robot in enumerate(("person", *ROBOTS)):
        followers = None
        if robot != "person":
            followers = Retargeter((known_hand(robot, "right"),), RetargetSettings(speed=10.0))
        for result in results[: FRAMES[-1] + 1]:
            frame = None if followers is None else followers.step(result, result.frame.pts)
            if result.frame.index not in FRAMES:
                continue
            row = FRAMES.index(result.frame.index)
            axes = axes_of(figure, row * columns + column + 1, columns, rows, 0.2 if robot == "person" else 0.27)
            if row == 0:
                axes.set_title(robot, fontsize=11)
            if followers is None or frame is None:
                [hand] = [hand for hand in result.hands if hand.side == "right"]
                joints = joints_in_wrist(hand.joints, "right")
                for parent, child in BONES:
                    axes.plot(*joints[[parent, child]].T, color="#f39242", linewidth=3, solid_capstyle="round")
                continue
            solver = followers.solver("right")
            poses = solver.model.link_poses(frame.hands[0].positions)
            origin = poses[solver.hand.wrist][:3, 3]
            for link, (vertices, faces) in link_meshes(solver.model).items():
                T = poses[link]
                triangles = (vertices @ T[:3, :3].T + T[:3, 3] - origin)[faces]
                normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
                normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
                shade = 0.55 + 0.4 * np.abs(normals @ LIGHT / np.linalg.norm(LIGHT))
                colours = shade[:, None] * np.array([0.66, 0.72, 0.82])
                axes.add_collection3d(Poly3DCollection(triangles, facecolors=colours.clip(0, 1)))
    figure.subplots_adjust(0, 0, 1, 0.95, 0, 0)
    figure.savefig(HERE / "robots.png")


def page(path: Path) -> None:
    """The page, with the Allegro hand beside each."""
    address = "tcp://127.0.0.1:5596"
    player = Player(read_recording(path), Publisher(PublishSettings(address=address)), loop=True)
    thread = Thread(target=player.run, daemon=True)
    thread.start()
    robots = Retargeter((known_hand("allegro", "left"), known_hand("allegro", "right")))
    with HandClient(address) as client:
        page = HandPage(client, port=0, companion=RobotsOnPage(robots))
        with browser(page.address) as call:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline or client.newest is None or client.newest.result.frame.index % 300 < 90:
                page.step()
            player.pause()
            close = "document.querySelectorAll('.mantine-Notification-closeButton').forEach(button => button.click())"
            call("Runtime.evaluate", expression=close)
            time.sleep(3)
            data = base64.b64decode(call("Page.captureScreenshot")["data"])
        page.close()
    player.stop()
    thread.join(5)
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(HERE / "robots_page.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    recording = Path(sys.argv[1]) / "hands.mcap"
    drawn(list(read_recording(recording).results()))
    page(recording)
