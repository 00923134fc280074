"""Headless Chromium as the scripts here run it: it draws in software, and does nothing beside that."""

import os

# Of root's processes Chromium runs some in real time, which draw in software here and leave nothing to others.
WITHOUT_PRIORITY = ("setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice") if os.geteuid() == 0 else ()

CHROMIUM = (
    *WITHOUT_PRIORITY, "chromium", "--headless", "--no-sandbox", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    # Pages of Chromium's own for its address bar, which nobody sees and which take a core.
    "--disable-features=PreloadTopChromeWebUI,WebUIOmniboxPopup,WebUIOmniboxAimPopup",
)  # fmt: skip
