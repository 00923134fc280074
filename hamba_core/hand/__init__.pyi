from .anatomy import MODEL_JOINTS_IN_21 as MODEL_JOINTS_IN_21, flexion_axes as flexion_axes, joint_axes as joint_axes
from .conversion import ConvertedHands as ConvertedHands, ModelConversion as ModelConversion
from .generic_hand import load_generic_hand as load_generic_hand
from .hand_layer import HandLayer as HandLayer
from .hand_model import HandModel as HandModel, PosedHand as PosedHand
from .mano import (
    arrays_of as arrays_of,
    hand_of as hand_of,
    mano_pickle as mano_pickle,
    read_mano as read_mano,
)
from .meshes import (
    close_holes as close_holes,
    face_incidence as face_incidence,
    rims as rims,
    vertex_normals as vertex_normals,
)
from .mirror import MIRROR as MIRROR, mirrored_points as mirrored_points, mirrored_rotations as mirrored_rotations
from .rotations import (
    continuous_euler_zxy as continuous_euler_zxy,
    euler_zxy as euler_zxy,
    exp_so3 as exp_so3,
    hat as hat,
    log_so3 as log_so3,
    nearest_rotation as nearest_rotation,
    slerp as slerp,
    to_quaternion as to_quaternion,
)
from .skeleton import (
    BONES as BONES,
    FINGERS as FINGERS,
    JOINT_NAMES as JOINT_NAMES,
    JOINT_PARENTS as JOINT_PARENTS,
    JOINTS_FROM_MODEL as JOINTS_FROM_MODEL,
    MODEL_FINGERS as MODEL_FINGERS,
    MODEL_JOINT_NAMES as MODEL_JOINT_NAMES,
    SIDES as SIDES,
    Side as Side,
)
