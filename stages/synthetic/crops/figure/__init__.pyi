from .clothing import any_outfit as any_outfit
from .dressing import (
    Figure as Figure,
    Stance as Stance,
    make_figure as make_figure,
    mirrored as mirrored,
    part_of_thing as part_of_thing,
)
from .models import (
    MeshName as MeshName,
    generic_betas as generic_betas,
    hand_model as hand_model,
    hand_surface as hand_surface,
)
from .skins import any_tone as any_tone
from .surface import HandSurface as HandSurface
