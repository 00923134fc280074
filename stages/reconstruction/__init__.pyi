from .estimator import Estimator as Estimator
from .reconstruction import (
    Reconstruction as Reconstruction,
    ReconstructionSettings as ReconstructionSettings,
    load_hand_model as load_hand_model,
    named_estimator as named_estimator,
    named_hand_model as named_hand_model,
    shared_network as shared_network,
    uses_network as uses_network,
)
