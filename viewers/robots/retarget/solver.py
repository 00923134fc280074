"""The solver finds joint positions of a robot hand whose fingertips are where a person's are, seen from the wrist.

It is dexi-rs, which solves what dex-retargeting (AnyTeleop, Qin et al. 2023) does. `vector`: each fingertip's vector
from the wrist, as much larger as the robot is. `dexpilot` (Handa et al. 2020): besides, fingertips that nearly touch
the thumb, or one another, do touch.
"""

from itertools import combinations
from typing import Final

import numpy as np

from hamba_core.arrays import Array, Int64Array
from hamba_core.errors import ConfigurationError
from hamba_core.packages import needed_for
from viewers.robots.retarget.kinematics import RobotModel, read_urdf
from viewers.robots.retarget.robot_hands import Method, RobotHand

_TYPICAL_REACH: Final = 0.17
"""Metres from wrist to tips of straight fingers, of the hand that a person's is made as large as."""


class Solver:
    """Solves for one hand; each solution begins at the one before.

    Raises DependencyError without dexi-rs, ConfigurationError where hand and description do not go together.
    """

    def __init__(self, hand: RobotHand, method: Method | None = None) -> None:
        with needed_for("retargeting"):
            import dexi_rs
        self.hand = hand
        method = method or hand.method
        self.model = model = read_urdf(hand.urdf)
        missing = {hand.wrist, *(link for link, _ in hand.pairs)} - set(model.links)
        unknown = set(hand.joints or ()) - set(model.names)
        if missing or unknown:
            raise ConfigurationError(
                f"{hand.urdf}: expected the configuration's links and joints in it, found none called "
                f"{', '.join(sorted(missing | unknown))}"
            )
        fields = _vector_fields(hand) if method == "vector" else _dexpilot_fields(hand)
        self._ends = human_ends(hand, method)
        self._reach = robot_reach(hand, model)
        try:
            self._solve = dexi_rs.load_config(
                {
                    "urdf_dir": str(hand.urdf.parent),
                    "urdf_path": str(hand.urdf),
                    "scaling_factor": hand.scaling or self._reach / _TYPICAL_REACH,
                    "low_pass_alpha": 1.0,  # smoothing is `viewers.robots.retarget.motion`'s, which knows of time
                    **({"target_joint_names": list(hand.joints)} if hand.joints else {}),
                    **fields,
                }
            ).build()
        except Exception as error:  # it raises several kinds, and says what is wrong
            raise ConfigurationError(f"{hand.urdf}: expected a hand that dexi-rs takes, found: {error}") from error
        self._fixed = [0.0] * int(self._solve.fixed_dof)
        theirs = list(self._solve.joint_names)
        if set(theirs) != set(model.names):
            raise ConfigurationError(
                f"{hand.urdf}: expected the joints {', '.join(model.names)}, dexi-rs found {', '.join(theirs)}"
            )
        self._order = [theirs.index(name) for name in model.names]

    def solve(self, joints: Array) -> Array:
        """Return positions (n,), in the order of the model, for joints (21, 3) m in the frame of the person's wrist."""
        origins, ends = self._ends
        vectors = joints[ends] - joints[origins]
        if self.hand.scaling is None:
            vectors = vectors * (_TYPICAL_REACH / person_reach(self.hand, joints))
        positions = np.asarray(self._solve.retarget(vectors.ravel().tolist(), self._fixed), np.float64)
        return positions[self._order]

    def fingertip_targets(self, joints: Array) -> Array:
        """Return where fingertips are to be, (tips, 3) m from the robot's wrist, for such joints."""
        scale = self.hand.scaling or self._reach / person_reach(self.hand, joints)
        vectors: Array = (joints[list(self.hand.human_tips)] - joints[0]) * scale
        return vectors

    def reset(self) -> None:
        """Let the next solution begin amid the joints' ranges."""
        self._solve.reset()


def _vector_fields(hand: RobotHand) -> dict[str, object]:
    links = [link for link, _ in hand.pairs]
    return {
        "type": "vector",
        "target_origin_link_names": [hand.wrist] * len(links),
        "target_task_link_names": links,
        "target_link_human_indices": [[0] * len(links), [human for _, human in hand.pairs]],
    }


def _dexpilot_fields(hand: RobotHand) -> dict[str, object]:
    origins, ends = human_ends(hand, "dexpilot")
    return {
        "type": "dexpilot",
        "wrist_link_name": hand.wrist,
        "finger_tip_link_names": list(hand.tips),
        "target_link_human_indices": [origins.tolist(), ends.tolist()],
    }


def human_ends(hand: RobotHand, method: Method) -> tuple[Int64Array, Int64Array]:
    """Return the person's joints at which each vector begins and ends, in the solver's order."""
    if method == "vector":
        ends = np.array([human for _, human in hand.pairs])
        return np.zeros_like(ends), ends
    # As dex-retargeting has them: from each later finger to each earlier one, then from the wrist to each.
    pairs = [(later, earlier) for earlier, later in combinations(hand.human_tips, 2)]
    pairs += [(0, tip) for tip in hand.human_tips]
    both = np.array(pairs)
    return both[:, 0], both[:, 1]


def person_reach(hand: RobotHand, joints: Array) -> float:
    """Return how far fingers reach from the wrist, m, thumb aside: bones end to end, so however they are bent."""
    tips = np.array(hand.human_tips[1:])
    chains = joints[np.stack([0 * tips, tips - 3, tips - 2, tips - 1, tips])]
    return max(float(np.linalg.norm(np.diff(chains, axis=0), axis=-1).sum(0).mean()), 1e-3)


def robot_reach(hand: RobotHand, model: RobotModel) -> float:
    """Return the same of the robot: with joints at zero, where its fingers are straight."""
    flat = model.coupled(np.clip(np.zeros(len(model.names)), *model.limits().T))
    return max(float(np.linalg.norm(tip_vectors(hand, model, flat)[1:], axis=-1).mean()), 1e-3)


def tip_vectors(hand: RobotHand, model: RobotModel, positions: Array) -> Array:
    """Return where fingertips are, (..., tips, 3) m from the wrist, for positions (..., n)."""
    poses = model.link_poses(positions, [hand.wrist, *hand.tips])
    wrist = poses[hand.wrist][..., None, :3, 3]
    result: Array = np.stack([poses[tip][..., :3, 3] for tip in hand.tips], -2) - wrist
    return result
