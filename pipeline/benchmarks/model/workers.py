"""Workers are the processes that are measured; each is fresh, so that none inherits what another has loaded."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any


def worker(initializer: Callable[..., object] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """Return a pool of one process, started by `initializer(*arguments)`."""
    return ProcessPoolExecutor(1, get_context("spawn"), initializer, initargs=arguments)
