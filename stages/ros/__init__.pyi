from .messages import (
    RosNames as RosNames,
    RosPoints as RosPoints,
    RosTopic as RosTopic,
    RosValue as RosValue,
    joint_state as joint_state,
    messages_of as messages_of,
    topics_of as topics_of,
)
