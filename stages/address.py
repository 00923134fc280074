"""Where hands are published, unless told otherwise."""

from typing import Final

DEFAULT_ADDRESS: Final = "tcp://127.0.0.1:5557"
