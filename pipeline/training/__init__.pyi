from .curves import draw_curves as draw_curves
from .released import (
    ReleasedTraining as ReleasedTraining,
    crop_batches as crop_batches,
    new_network as new_network,
    train_released as train_released,
)
from .run import Trained as Trained, train as train
from .settings import (
    TrainingSettings as TrainingSettings,
    read_training_settings as read_training_settings,
    training_settings as training_settings,
)
