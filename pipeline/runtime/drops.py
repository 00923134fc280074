"""Why a frame is dropped. Report, status and live line count every drop under one of these words."""

from typing import Final

REPLACED: Final = "replaced by newer"
"""Live: it waited, and a newer one took its place (`channel`)."""
OUTDATED: Final = "too old"
"""Live: it waited between stages longer than `runtime.max_age`, with a newer one behind it (`channel`)."""
FAILED: Final = "error"
"""A part raised an exception on it (`workers`)."""
DISCARDED: Final = "run ended"
"""It was on its way when the run failed, or was no longer wanted (`supervisor`)."""
ABANDONED: Final = "abandoned"
"""It was with a part that did not return in time (`worker`)."""
