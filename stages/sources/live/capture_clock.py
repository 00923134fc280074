"""The capture clock says when a picture was taken, on `time.monotonic_ns()`, from the best that is known.

    driver           the driver of a camera on this machine stamped it
    sender reports   the camera says what its clock shows at a stamp (RTCP), and its clock agrees with ours
    stream clock     stamps of the stream's own: the packet that was held up least says how they lie on our clock
    arrival          the time at which its packet was read

Packets wait in sockets, in FFmpeg and at the sender, where nobody sees them. Their stamps show it: one that was taken a
second after another, and comes at the same time, was held up a second less. So the age by the stream's clock is
counted from the packet that came soonest, and what all packets have in common, the time from the lens to here at its
shortest, is not in it.
"""

import time

from stages.sources.live.packet import Epoch, Packet

DRIVER, SENDER, STREAM, ARRIVAL = "driver", "sender reports", "stream clock", "arrival"

JUMP_NS = 1_000_000_000
"""A stamp that moves by more than this, while the packets do not, begins another clock."""
_DRIFT = 5e-4
"""The most by which a camera's clock runs slower than ours: an age that grows by less is not believed."""
_AHEAD_NS = 20_000_000
_MOST_DELAY_NS = 2_000_000_000
"""A sender's clock is taken to agree with ours where it puts the capture from so much after to so much before the
soonest arrival."""


class CaptureClock:
    """It reads the times of packets in the order in which they come, and dates pictures."""

    def __init__(self) -> None:
        self._epoch = Epoch()
        self._stamp_ns = self._arrived_ns = 0
        self.jumps = 0
        """How often the stream's clock has jumped."""

    def begin(self) -> None:
        """Begin another epoch, since there is another connection."""
        self._epoch = Epoch()

    def observe(self, packet: Packet, *, live: bool = True) -> None:
        """Take note of a packet's times, and give it its epoch. A file (not `live`) comes as fast as it can."""
        if not live or packet.stamp is None or packet.taken_ns is not None:
            packet.epoch = self._epoch
            return
        stamp_ns = round(packet.stamp * 1e9)
        delay_ns = packet.arrived_ns - stamp_ns
        soonest, step = self._epoch.soonest_ns, stamp_ns - self._stamp_ns
        if soonest is None:
            self._epoch.soonest_ns = delay_ns
        elif step < -JUMP_NS or (step > JUMP_NS and delay_ns < soonest - JUMP_NS):
            self.jumps += 1
            self._epoch = Epoch(delay_ns)
        else:
            drifted = soonest + _DRIFT * (packet.arrived_ns - self._arrived_ns)
            self._epoch.soonest_ns = min(drifted, delay_ns)
        if packet.wall_ns is not None:
            self._epoch.sender_ns = packet.wall_ns - (time.time_ns() - time.monotonic_ns()) - stamp_ns
        self._stamp_ns, self._arrived_ns = stamp_ns, packet.arrived_ns
        packet.epoch = self._epoch


def captured(packet: Packet, stamp: float | None) -> tuple[int, str]:
    """Return when a picture was taken (monotonic ns), and how that is known.

    `packet` is the one that made it come out of the decoder, `stamp` its own, s.
    """
    if packet.taken_ns is not None:
        return packet.taken_ns, DRIVER
    epoch = packet.epoch
    if stamp is None or epoch.soonest_ns is None:
        return packet.arrived_ns, ARRIVAL
    stamp_ns = round(stamp * 1e9)
    soonest_ns = min(round(stamp_ns + epoch.soonest_ns), packet.arrived_ns)
    if epoch.sender_ns is not None:
        by_sender_ns = stamp_ns + epoch.sender_ns
        if -_AHEAD_NS <= soonest_ns - by_sender_ns <= _MOST_DELAY_NS:
            return min(by_sender_ns, soonest_ns), SENDER
    return soonest_ns, STREAM
