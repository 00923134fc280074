from .camera import (
    ESTIMATED_FIELD_OF_VIEW as ESTIMATED_FIELD_OF_VIEW,
    FILM_DIAGONAL as FILM_DIAGONAL,
    Intrinsics as Intrinsics,
)
from .crop import (
    cut_batch as cut_batch,
    cut_crops as cut_crops,
    cut_places as cut_places,
    fault_of_fused_crops as fault_of_fused_crops,
)
from .full_camera import translation_in_picture as translation_in_picture
from .square import Square as Square, square_around as square_around
