from .graph import JOINTS as JOINTS, GraphLayer as GraphLayer, SemanticGraphConvolution as SemanticGraphConvolution
from .gss_head import GSSDecoder as GSSDecoder, GSSHead as GSSHead
from .joint_regressor import JointRegressor as JointRegressor
from .readout import HandParameters as HandParameters, Readout as Readout, rotations_from_6d as rotations_from_6d
