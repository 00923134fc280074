from .estimator import Estimator as Estimator
from .reconstruction import (
    Reconstruction as Reconstruction,
    ReconstructionSettings as ReconstructionSettings,
    shared_network as shared_network,
    uses_network as uses_network,
)
