from .hand_data import HandData as HandData, HandSample as HandSample
from .mixed_hands import MixedHands as MixedHands, shown as shown
from .mixture import DATA_SETS as DATA_SETS, PAPER_WEIGHTS as PAPER_WEIGHTS, Mixture as Mixture, open_data as open_data
from .pose_space import PoseSpace as PoseSpace, read_pose_space as read_pose_space
from .rendered import rendered_sample as rendered_sample
