from .backgrounds import any_background as any_background
from .degradation import developed as developed, moved as moved
from .drawing import (
    Canvas as Canvas,
    Coarse as Coarse,
    Owner as Owner,
    Painter as Painter,
    Part as Part,
    Spot as Spot,
    draw as draw,
    solid_scene as solid_scene,
)
from .lights import Lights as Lights, any_lights as any_lights
from .materials import (
    any_colour as any_colour,
    band_painter as band_painter,
    cloth_painter as cloth_painter,
    thing_painter as thing_painter,
)
