"""Robot hands on the browser's page, each beside the person's hand that it follows."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import Side, to_quaternion
from stages.packets import FrameResult
from viewers.robots.retarget.retargeter import Retargeter, RobotHandState
from viewers.robots.retarget.shapes import link_meshes
from viewers.robots.retarget.wrist_frame import wrist_pose

if TYPE_CHECKING:
    import viser

BESIDE: Final = 0.24
"""Metres from the person's wrist to the robot's, across."""
COLOUR: Final = (196, 200, 208)


class RobotsOnPage:
    """Shows what a retargeter makes of the hands that the page shows."""

    def __init__(self, retargeter: Retargeter) -> None:
        self._retargeter = retargeter
        self._links: dict[Side, dict[str, Any]] = {}
        self._across: dict[Side, float] = {}

    def open(self, server: "viser.ViserServer") -> None:
        """Put the robots' links on the page, unseen as yet."""
        for hand in self._retargeter.hands:
            meshes = link_meshes(self._retargeter.solver(hand.side).model)
            self._links[hand.side] = {
                link: server.scene.add_mesh_simple(
                    f"/robots/{hand.side}/{place}", vertices.astype(np.float32), faces.astype(np.uint32), color=COLOUR,
                    flat_shading=True, side="double", visible=False,
                )
                for place, (link, (vertices, faces)) in enumerate(meshes.items())
            }  # fmt: skip

    def show(self, result: FrameResult, *, mirrored: bool) -> None:
        """Let the robots follow these hands. In a mirror they are not shown: they would be of the other side."""
        frame = self._retargeter.step(result)
        for state in frame.hands:
            people = [hand for hand in result.hands if hand.track_id == state.track_id]
            links = self._links[state.side]
            for mesh in links.values():
                mesh.visible = bool(people) and not mirrored
            if people:
                self._place(state, wrist_pose(people[0].joints, state.side), links)

    def _place(self, state: RobotHandState, T_camera_wrist: Array, links: dict[str, Any]) -> None:
        solver = self._retargeter.solver(state.side)
        poses = solver.model.link_poses(state.positions)
        across = self._across.setdefault(state.side, BESIDE if T_camera_wrist[0, 3] > 0 else -BESIDE)
        T = T_camera_wrist.copy()
        T[0, 3] += across
        T[:3, 3] -= T[:3, :3] @ poses[solver.hand.wrist][:3, 3]  # the robot's wrist, not its root, is beside
        for link, mesh in links.items():
            T_page_link = T @ poses[link]
            quaternion = to_quaternion(T_page_link[:3, :3])
            mesh.wxyz, mesh.position = quaternion[[3, 0, 1, 2]], T_page_link[:3, 3]
