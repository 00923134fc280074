"""How many processors there are to work with."""

import os


def processors() -> int:
    """Return how many processors this process may use; on systems that do not tell, how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
