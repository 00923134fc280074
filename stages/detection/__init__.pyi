from .detection import DetectionSettings as DetectionSettings, HandDetection as HandDetection
from .hand_crop import HandCrop as HandCrop, crop_around as crop_around
from .hand_network import CROP_SIDE as CROP_SIDE, FeatureMaps as FeatureMaps, HandNetwork as HandNetwork, Look as Look
from .looking import Sighting as Sighting, look_at as look_at
from .onnx_session import open_session as open_session
from .palm_detector import Palm as Palm, PalmDetector as PalmDetector
