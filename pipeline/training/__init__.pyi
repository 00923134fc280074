from .curves import draw_curves as draw_curves
from .released import (
    ReleasedTrained as ReleasedTrained,
    new_network as new_network,
    train_released as train_released,
)
from .released_run_settings import (
    MixedData as MixedData,
    ReleasedSettings as ReleasedSettings,
    released_settings as released_settings,
)
from .run import Trained as Trained, train as train
from .settings import (
    TrainingSettings as TrainingSettings,
    read_training_settings as read_training_settings,
    read_tree as read_tree,
    training_settings as training_settings,
)
