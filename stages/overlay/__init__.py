"""Overlay: a video of the source with its hands drawn over it."""

from stages.overlay.overlay import Overlay, OverlaySettings

__all__ = ["Overlay", "OverlaySettings"]
