"""What a packet says of its time."""

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream


def stamp_of(packet: "av.Packet[VideoStream]") -> float | None:
    """Return when a packet is to be shown on the stream's own clock, s; None if it does not say."""
    stamp = packet.dts if packet.pts is None else packet.pts
    return None if stamp is None or not packet.time_base else float(stamp * packet.time_base)


def wall_time_of(packet: "av.Packet[VideoStream]") -> int | None:
    """Return the Unix time, ns, at which the sender says that a packet was captured; None if it does not say.

    FFmpeg works it out of RTCP's sender reports, and puts it beside the packet as microseconds and a flag.
    """
    if not packet.has_sidedata("prft"):
        return None
    (microseconds,) = struct.unpack_from("q", bytes(packet.get_sidedata("prft")))
    return int(microseconds) * 1000
