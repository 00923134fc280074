from .osc import osc_messages as osc_messages
from .sending import OscMessage as OscMessage, OscSender as OscSender
from .vmc import vmc_messages as vmc_messages
from .webxr import WEBXR_JOINTS as WEBXR_JOINTS, webxr_frame as webxr_frame
