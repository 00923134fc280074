"""A window needs a screen: this tells whether there is one."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def screen() -> Iterator[bool]:
    """Tell whether there is a screen, and hold on to it until a window is open."""
    if sys.platform != "linux" or os.environ.get("WAYLAND_DISPLAY"):
        yield True
        return
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        yield False
        return
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None)
    try:
        # The screen is held meanwhile: some X servers restart when the last client leaves, and refuse all for a moment.
        yield bool(display)
    finally:
        if display:
            x11.XCloseDisplay(ctypes.c_void_p(display))
