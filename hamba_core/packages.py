"""Packages that only some work needs: where one is missing, an error says what brings it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hamba_core.errors import DependencyError

EXTRAS: Final = {
    "torch": "network", "torchvision": "network", "timm": "network", "smplx": "network", "roma": "network",
    "viser": "web",
    "pxr": "usd",
    "onnxscript": "train", "lightning_fabric": "train",
    "prometheus_client": "health",
    "pyarrow": "parquet",
    "ray": "cluster",
    "pythonosc": "avatars",
    "dexi_rs": "robots",
    "rosbags": "ros",
}  # fmt: skip
"""The extra of hamba-stream that brings a package, by the name that it is imported by."""


@contextmanager
def needed_for(work: str) -> Iterator[None]:
    """Raise DependencyError where an import in this block finds one of the packages of `EXTRAS` missing.

    `work` begins the message: who needs the package.
    """
    try:
        yield
    except ImportError as error:
        missing = missing_package(error, work)
        if missing is None:
            raise
        raise missing from error


def missing_package(error: ImportError, work: str) -> DependencyError | None:
    """Return the error that says what to install, or none where the import failed for another reason."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        return None
    return DependencyError(
        f"{work}: expected the package {package}, found: {error}; install it with: pip install 'hamba-stream[{extra}]'"
    )
