from .averaging import RunningWeights as RunningWeights
from .initialisation import initialise as initialise
from .losses import HandTruths as HandTruths, LossWeights as LossWeights, hand_losses as hand_losses
from .released import (
    CropTruths as CropTruths,
    ReleasedLossWeights as ReleasedLossWeights,
    released_losses as released_losses,
)
