from .configuration import HandCnnConfiguration as HandCnnConfiguration, SmallConfiguration as SmallConfiguration
from .network import HambaSmall as HambaSmall, SmallOutput as SmallOutput
from .sampler import sample_maps as sample_maps
from .views import FirstEstimate as FirstEstimate, HandViews as HandViews
