from .adversarial import (
    HandDiscriminator as HandDiscriminator,
    discriminating_loss as discriminating_loss,
    fooling_loss as fooling_loss,
)
from .augmentation import (
    NO_AUGMENTATION as NO_AUGMENTATION,
    Augmentation as Augmentation,
    CropChange as CropChange,
    PictureTruth as PictureTruth,
    crop_matrix as crop_matrix,
    cut_turned as cut_turned,
    draw_change as draw_change,
    truth_in_crop as truth_in_crop,
)
from .averaging import RunningWeights as RunningWeights
from .initialisation import initialise as initialise
from .losses import HandTruths as HandTruths, LossWeights as LossWeights, hand_losses as hand_losses
from .nearest import NearestHands as NearestHands, nearest_hands as nearest_hands
from .recomputing import recompute as recompute
from .released import (
    CropTruths as CropTruths,
    ReleasedLossWeights as ReleasedLossWeights,
    released_losses as released_losses,
)
