from .drawing import draw_label as draw_label, draw_skeleton as draw_skeleton
from .overlay import Overlay as Overlay, OverlaySettings as OverlaySettings
from .video_file import VideoFile as VideoFile, choose_encoder as choose_encoder
