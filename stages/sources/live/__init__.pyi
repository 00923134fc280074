from .live_source import LiveSource as LiveSource, Picture as Picture, Session as Session
from .network import SCHEMES as SCHEMES, network_source as network_source, scheme_of as scheme_of
