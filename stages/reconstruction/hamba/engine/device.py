"""This module says what the engine needs of a device, and has the simplest device, the CPU.

Work is put onto one of three streams and done there in order, while the caller goes on. The streams run beside one
another; an event tells when a piece of work is done, and another stream, or the caller, can wait for it. Nothing else
orders them.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.profiler import record_function

Stream = Literal["upload", "compute", "read-back"]

Work = Callable[[], object]


class Buffer(NamedTuple):
    """A buffer holds the same numbers twice: where the host writes and reads, and where the device does."""

    host: Tensor  # pinned, so that copies need no help of the host
    device: Tensor  # the very same tensor on a CPU

    def upload(self, rows: int) -> None:
        """Copy the first rows to the device, as work of a stream."""
        if self.device is not self.host:
            self.device[:rows].copy_(self.host[:rows], non_blocking=True)

    def read_back(self, rows: int) -> None:
        """Copy the first rows to the host, as work of a stream."""
        if self.device is not self.host:
            self.host[:rows].copy_(self.device[:rows], non_blocking=True)


class Event(Protocol):
    """The end of a piece of work."""

    def synchronize(self) -> None:
        """Wait until the work is done."""


class Device(Protocol):
    """A GPU, or what stands in for one. Used from one thread at a time."""

    @property
    def torch_device(self) -> torch.device:
        """The device that its tensors are on."""

    @property
    def graphs(self) -> bool:
        """Whether `capture` gains anything."""

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a tensor on the device, its numbers not set. Raises torch.OutOfMemoryError."""

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        """Return a buffer, its numbers not set. Raises torch.OutOfMemoryError."""

    def run(self, stream: Stream, work: Work, after: Event | None = None) -> Event:
        """Put work onto a stream, to be done once `after` has come; return the event of its end."""

    def capture(self, work: Work) -> Work:
        """Return the same work as one cheap call for the compute stream, with the same tensors every time.

        Capturing does the work several times and waits for the device. Raises RuntimeError if it cannot be captured.
        """

    def clear(self) -> None:
        """Wait for everything, and give unused memory back."""

    def is_lost(self) -> bool:
        """Ask the device itself whether it still answers. Waits for what is under way."""


class Cpu:
    """The processor itself: work is done at once, in the caller's thread."""

    torch_device = torch.device("cpu")
    graphs = False

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a tensor."""
        return torch.empty(shape, dtype=dtype)

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        """Return a buffer whose two sides are one tensor."""
        tensor = torch.empty(shape, dtype=dtype)
        return Buffer(tensor, tensor)

    def run(self, stream: Stream, work: Work, after: Event | None = None) -> Event:
        """Do the work at once."""
        with record_function(f"hamba {stream}"):
            work()
        return _Done()

    def capture(self, work: Work) -> Work:
        """Return the work itself."""
        return work

    def clear(self) -> None:
        """Do nothing, since nothing is under way."""

    def is_lost(self) -> bool:
        """Return False: if the processor were lost, nothing could ask."""
        return False


class _Done:
    def synchronize(self) -> None:
        pass
