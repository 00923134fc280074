from .looks import linear_colours as linear_colours, name_of as name_of
from .rest_pose import (
    RestHand as RestHand,
    licence_of as licence_of,
    recorded_hand_model as recorded_hand_model,
    rest_hand as rest_hand,
)
from .skeleton_rig import (
    R_FILE_CAMERA as R_FILE_CAMERA,
    TURNING as TURNING,
    BonePoses as BonePoses,
    Rig as Rig,
    bone_poses as bone_poses,
    poses_of as poses_of,
    rigs_of as rigs_of,
    spans_of as spans_of,
)
