"""Key frames that FFmpeg hands over in pieces are joined again.

A sender that codes a picture in several slices may repeat its parameter sets before each slice of a key frame, as
GStreamer's rtph264pay does with config-interval=-1. FFmpeg takes every repetition for the beginning of a new picture,
and the decoder then fills in what each piece is without: the picture is broken until the next key frame, and that one
too.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import av

if TYPE_CHECKING:
    from av.video.stream import VideoStream

_IN_SLICES = frozenset(("h264", "hevc"))


def whole_pictures(packets: "Iterator[av.Packet[VideoStream]]", codec: str) -> "Iterator[av.Packet[VideoStream]]":
    """Yield packets that are whole pictures.

    The first key frame is held until what follows shows whether it was in pieces; later ones only if it was, since that
    costs the time from one picture to the next.
    """
    held: av.Packet[VideoStream] | None = None
    in_pieces: bool | None = None if codec in _IN_SLICES else False
    for packet in packets:
        if held is not None:
            if packet.size and packet.is_keyframe and held.pts in (None, packet.pts):
                held, in_pieces = _joined(held, packet), True
                continue
            in_pieces = bool(in_pieces)
            yield held
            held = None
        if packet.is_keyframe and packet.size and in_pieces is not False:
            held = packet
        else:
            yield packet
    if held is not None:
        yield held


def _joined(first: "av.Packet[VideoStream]", second: "av.Packet[VideoStream]") -> "av.Packet[VideoStream]":
    joined = cast("av.Packet[VideoStream]", av.Packet(bytes(first) + bytes(second)))
    joined.time_base = second.time_base
    joined.pts, joined.dts = second.pts, second.dts
    joined.is_keyframe = True
    return joined
