"""A robot's hand stands on the page beside the person's, where its kinematics say."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hamba_core.hand import exp_so3
from stages.packets import FrameResult, Hand
from viewers.client import HandClient
from viewers.robots.retarget import Retargeter, RetargetSettings, RobotsOnPage, known_hand, wrist_pose
from viewers.robots.retarget.page import BESIDE

pytest.importorskip("viser", reason="needs viser: pip install 'hamba-stream[web]'")
pytest.importorskip("dexi_rs", reason="needs dexi-rs: pip install 'hamba-stream[robots]'")


def test_the_robots_wrist_is_beside_the_persons_and_turned_as_it_is(
    make_stage: Callable[..., Any],
    make_hand: Callable[..., Hand],
    make_result: Callable[..., FrameResult],
    until: Callable[..., None],
) -> None:
    from viewers.web import HandPage

    stage, hand = make_stage(), make_hand(1)
    retargeter = Retargeter((known_hand("leap", "right"),), RetargetSettings())
    robots = RobotsOnPage(retargeter)
    with HandClient(stage.address) as client:
        page = HandPage(client, port=0, companion=robots)
        palm = robots._links["right"]["palm_lower"]
        assert not palm.visible

        def shown() -> bool:
            stage.show(make_result(0, (hand,)))
            page.step()
            return bool(palm.visible)

        until(shown)
        T = wrist_pose(hand.joints, "right")
        model = retargeter.solver("right").model
        link = model.link_poses(np.zeros(16))["palm_lower"]  # no joint is before it
        expected = T[:3, 3] + [BESIDE if T[0, 3] > 0 else -BESIDE, 0, 0] + T[:3, :3] @ link[:3, 3]
        np.testing.assert_allclose(palm.position, expected, atol=1e-6)
        w, *vector = palm.wxyz
        angle = 2 * np.arctan2(np.linalg.norm(vector), w)
        turn = exp_so3(angle * np.array(vector) / max(float(np.linalg.norm(vector)), 1e-9))
        np.testing.assert_allclose(turn, T[:3, :3] @ link[:3, :3], atol=1e-5)

        def hidden() -> bool:
            stage.show(make_result(0, ()))
            page.step()
            return not palm.visible

        until(hidden)
        page.close()
