from .arm import WRIST_CUT as WRIST_CUT, Arm as Arm
from .motion import (
    Choreography as Choreography,
    HandState as HandState,
    View as View,
    palm_basis as palm_basis,
    stage_distance as stage_distance,
)
