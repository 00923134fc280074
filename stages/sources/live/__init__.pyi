from .live_source import LiveSource as LiveSource
from .network import SCHEMES as SCHEMES, network_source as network_source, scheme_of as scheme_of
from .packet import Packet as Packet
from .session import Decoded as Decoded, Picture as Picture, PictureSession as PictureSession, Session as Session
