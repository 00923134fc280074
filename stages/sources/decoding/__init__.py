"""From encoded packets to RGB pictures: decoders, pixel formats, orientation, wide colour."""
