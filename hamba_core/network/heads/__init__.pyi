from .graph import GraphLayer as GraphLayer, SemanticGraphConvolution as SemanticGraphConvolution
from .gss_head import GSSDecoder as GSSDecoder, GSSHead as GSSHead
from .joint_regressor import JointRegressor as JointRegressor
from .readout import HandParameters as HandParameters
