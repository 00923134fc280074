from .clutch import CLUTCHES as CLUTCHES, ClutchKind as ClutchKind
from .kinematics import RobotModel as RobotModel, read_urdf as read_urdf
from .measuring import Following as Following
from .messages import (
    RobotHandMessage as RobotHandMessage,
    RobotMessage as RobotMessage,
    decode as decode,
    encode as encode,
    robot_message as robot_message,
)
from .page import RobotsOnPage as RobotsOnPage
from .publishing import DEFAULT_ROBOT_ADDRESS as DEFAULT_ROBOT_ADDRESS, RobotPublisher as RobotPublisher
from .recorded import (
    STATES as STATES,
    Retargeted as Retargeted,
    measured as measured,
    retarget_all as retarget_all,
    targets_of as targets_of,
    write_csv as write_csv,
    write_npz as write_npz,
)
from .retargeter import (
    Retargeter as Retargeter,
    RetargetSettings as RetargetSettings,
    RobotFrame as RobotFrame,
    RobotHandState as RobotHandState,
    State as State,
    Unseen as Unseen,
)
from .robot_hands import (
    METHODS as METHODS,
    ROBOTS as ROBOTS,
    Method as Method,
    RobotHand as RobotHand,
    known_hand as known_hand,
    robot_hand as robot_hand,
)
from .shapes import link_meshes as link_meshes
from .solver import Solver as Solver
from .wrist_frame import joints_in_wrist as joints_in_wrist, wrist_pose as wrist_pose
