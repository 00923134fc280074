from .camera import camera_source as camera_source
from .network import SCHEMES as SCHEMES, network_source as network_source, scheme_of as scheme_of
