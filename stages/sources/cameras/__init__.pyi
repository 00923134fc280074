from .finding import camera_called as camera_called, in_words as in_words, list_cameras as list_cameras
from .modes import Camera as Camera, Mode as Mode, mode_for as mode_for
from .source import NAMED as NAMED, camera_source as camera_source
