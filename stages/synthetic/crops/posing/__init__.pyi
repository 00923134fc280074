from .grasps import grasp as grasp
from .kinematics import Kinematics as Kinematics, solid_points as solid_points
from .objects import Form as Form, Mesh as Mesh, Thing as Thing, random_thing as random_thing
from .poses import free_pose as free_pose
