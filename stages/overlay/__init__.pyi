from .overlay import Overlay as Overlay, OverlaySettings as OverlaySettings
