from .conversion import (
    Residual as Residual,
    convert_recording as convert_recording,
    open_convertible as open_convertible,
)
