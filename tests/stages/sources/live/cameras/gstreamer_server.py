"""GStreamer's RTSP server, whose pictures show the time at which they were taken, for the system's own Python.

    python3 gstreamer_server.py PORT [WIDTH HEIGHT RATE KEY_INTERVAL]

It needs python3-gi, gir1.2-gst-rtsp-server-1.0 and GStreamer's plugins base, good and ugly (x264enc), and nothing of
this project: so the drawing of `time_code` stands here again, on grey pictures without NumPy. It prints its port.
"""

import sys
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - the versions are asked for before

BLOCK, COLUMNS, ROWS, TOP, LEFT = 20, 8, 5, 20, 20


def picture(width: int, height: int, milliseconds: int, index: int) -> bytes:
    """Luma of a picture that shows a time as `time_code.draw` does."""
    value = milliseconds & 0xFFFFFFFF
    checksum = (sum(value >> shift & 0xFF for shift in (0, 8, 16, 24)) * 31 + 7) & 0xFF
    bits = value << 8 | checksum
    plain = b"\x60" * width
    moving = bytes((index * 7 + column) & 0xFF for column in range(width))
    rows = []
    for row in range(ROWS):
        line = bytearray(plain)
        for column in range(COLUMNS):
            on = bits >> (ROWS * COLUMNS - 1 - row * COLUMNS - column) & 1
            left = LEFT + column * BLOCK
            line[left : left + BLOCK] = (b"\xeb" if on else b"\x14") * BLOCK
        rows.append(bytes(line) * BLOCK)
    below = height - TOP - ROWS * BLOCK
    return plain * TOP + b"".join(rows) + moving * min(below, 20) + plain * (below - min(below, 20))


class Camera:
    """Takes the pictures of the one stream that all clients share."""

    def __init__(self, width: int, height: int, rate: int) -> None:
        self.width, self.height, self.rate, self.index = width, height, rate, 0
        self.source: Any = None

    def begin(self, media: Any) -> None:
        """Begin to give pictures to a stream that was made anew."""
        self.source = media.get_element().get_by_name("source")
        GLib.timeout_add(max(1, round(1000 / self.rate)), self.push, self.source)

    def push(self, source: Any) -> bool:
        """Give one picture; GLib calls it at the rate."""
        if source is not self.source:
            return False
        data = picture(self.width, self.height, time.monotonic_ns() // 1_000_000, self.index)
        self.index += 1
        return bool(source.emit("push-buffer", Gst.Buffer.new_wrapped(data)) == Gst.FlowReturn.OK)


def main() -> None:
    Gst.init(None)
    numbers = [int(text) for text in sys.argv[2:]] or [320, 240, 30, 30]
    server = GstRtspServer.RTSPServer(service=sys.argv[1])
    width, height, rate, key_interval = numbers
    camera = Camera(width, height, rate)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(
        "( appsrc name=source is-live=true format=time do-timestamp=true "
        f"caps=video/x-raw,format=GRAY8,width={width},height={height},framerate={rate}/1 ! videoconvert ! "
        f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={key_interval} bitrate=2000 threads=1 ! "
        "video/x-h264,profile=baseline ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )
    factory.connect("media-configure", lambda _, media: camera.begin(media))
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
