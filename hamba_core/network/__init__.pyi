from .configuration import (
    CROP_SIZE as CROP_SIZE,
    RELEASED as RELEASED,
    TOKEN_COLUMNS as TOKEN_COLUMNS,
    TOKEN_ROWS as TOKEN_ROWS,
    BackboneConfiguration as BackboneConfiguration,
    DecoderConfiguration as DecoderConfiguration,
    HambaConfiguration as HambaConfiguration,
    read_configuration as read_configuration,
)
from .early_start import begin_kernel as begin_kernel
from .fast.allocator import keep_freed_memory as keep_freed_memory
from .fast.folding import fold as fold
from .fast.packing import (
    can_pack as can_pack,
    choose_packing as choose_packing,
    pack_linear_layers as pack_linear_layers,
)
from .fused.fusions import (
    MEASURED as MEASURED,
    FusionChoice as FusionChoice,
    Fusions as Fusions,
    fusion_names as fusion_names,
)
from .hamba import Hamba as Hamba, reducible_parameters as reducible_parameters
from .heads.graph import JOINTS as JOINTS
from .launching import early_starts as early_starts, launch as launch
from .output import HambaOutput as HambaOutput
from .precision import (
    PrecisionChoice as PrecisionChoice,
    choose_precision as choose_precision,
    crop_precision as crop_precision,
    plain_float32 as plain_float32,
)
