"""A made-up hand with MANO's numbers of vertices and faces: a person's hand, of another mesh, size and rest pose than
the generic one, and of none of MANO's numbers."""

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from hamba_core.arrays import Array, Int64Array
from hamba_core.hand import JOINTS_FROM_MODEL, HandModel, exp_so3, hand_of, load_generic_hand
from hamba_core.hand.mano import TIPS, arrays_of

VERTICES, FACES = 778, 1538


def made_up_hand() -> tuple[HandModel, Int64Array]:
    """The hand, and the generic hand's vertex (778,) that each of its own was."""
    generic, random = load_generic_hand(), np.random.default_rng(0)
    kept = _spread(generic)
    turn, bent = exp_so3(np.array([0.3, 0.4, -0.2])), exp_so3(0.25 * generic.flexion_axes)
    betas = np.array([0.5, -0.5, 0.3, 0.8, -0.4, 0.6, -0.3, 0.2, 0.5, -0.2])

    def posed(shape: Array) -> tuple[Array, Array]:
        hand = generic.pose(turn, bent, shape, np.zeros(3))
        return 1.07 * hand.vertices, 1.07 * hand.joints

    vertices, joints = posed(betas)
    directions = np.stack([posed(betas + beta)[0] - vertices for beta in np.eye(10)], -1)
    template = vertices[kept]
    regressor = np.zeros((16, VERTICES))
    for place, joint in enumerate(JOINTS_FROM_MODEL):
        if joint < 16:
            near = np.linalg.norm(template - joints[place], axis=1).argsort()[:30]
            ring = np.vstack([template[near].T, np.ones(30)])
            regressor[joint, near] = np.linalg.lstsq(ring, np.append(joints[place], 1), rcond=None)[0]
    faces = np.asarray(cKDTree(generic.v_template[kept]).query(generic.v_template)[1])[generic.faces]
    whole = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    made = HandModel(
        name="mano",
        v_template=template,
        shapedirs=directions[kept],
        posedirs=1e-4 * random.standard_normal((VERTICES, 3, 135)),
        j_regressor=regressor,
        weights=generic.weights[kept],
        faces=np.resize(whole, (FACES, 3)),
        tips=np.array(TIPS),
        flexion_axes=generic.flexion_axes,
        joint_limits=generic.joint_limits,
    )
    return hand_of(arrays_of(made), Path(__file__)), kept


def _spread(generic: HandModel) -> Int64Array:
    """778 of the generic hand's vertices, far from one another, its tips where MANO has them."""
    chosen = list(generic.tips)
    apart = np.full(len(generic.v_template), np.inf)
    while len(chosen) < VERTICES:
        newest = chosen[:5] if len(chosen) == 5 else chosen[-1:]
        for vertex in newest:
            apart = np.minimum(apart, np.linalg.norm(generic.v_template - generic.v_template[vertex], axis=1))
        chosen.append(int(apart.argmax()))
    kept = np.zeros(VERTICES, np.int64)
    kept[list(TIPS)] = chosen[:5]
    kept[[vertex for vertex in range(VERTICES) if vertex not in TIPS]] = chosen[5:]
    return kept
