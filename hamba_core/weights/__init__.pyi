from .checkpoint import find_checkpoint as find_checkpoint
from .conversion import Conversion as Conversion, convert_release as convert_release
from .loading import (
    checked_device as checked_device,
    fill_backbone as fill_backbone,
    load as load,
    load_hand as load_hand,
    open_weights as open_weights,
    tensor_dtypes as tensor_dtypes,
    weights_of as weights_of,
)
from .random_release import write_random_release as write_random_release
from .saving import save_release as save_release
from .small_weights import (
    fill_small as fill_small,
    load_small as load_small,
    save_small as save_small,
    small_origin as small_origin,
)
