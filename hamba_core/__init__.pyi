from .hand.mano import read_mano as read_mano
from .network.configuration import HambaConfiguration as HambaConfiguration
from .network.hamba import Hamba as Hamba
from .network.output import HambaOutput as HambaOutput
from .view.crop import cut_crops as cut_crops
from .view.full_camera import translation_in_picture as translation_in_picture
from .view.square import Square as Square, square_around as square_around
from .weights.conversion import Conversion as Conversion, convert_release as convert_release
from .weights.loading import load as load
