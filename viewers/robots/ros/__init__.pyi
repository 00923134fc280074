from .node import RosNode as RosNode
