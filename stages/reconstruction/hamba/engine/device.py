"""What the engine needs of a device, and the simplest one, the CPU.

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
    """The same numbers on both sides: where the host writes and reads, and where the device does."""

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
        """Wait until it is there."""


class Device(Protocol):
    """A GPU, or what stands in for one. Used from one thread at a time."""

    @property
    def torch_device(self) -> torch.device:
        """The device that its tensors are on."""

    @property
    def graphs(self) -> bool:
        """Whether `capture` gains anything."""

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor on the device, its numbers not set. Raises torch.OutOfMemoryError."""

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        """One on both sides, its numbers not set. Raises torch.OutOfMemoryError."""

    def run(self, stream: Stream, work: Work, after: Event | None = None) -> Event:
        """Put work onto a stream, to be done once `after` is there; the event of its end."""

    def capture(self, work: Work) -> Work:
        """The same work as one call that is cheap to put onto the compute stream, with the same tensors every time.

        Does the work some times over. Waits for the device. Raises RuntimeError if the work cannot be captured.
        """

    def clear(self) -> None:
        """Wait for everything, and give memory that nobody uses back."""

    def is_lost(self) -> bool:
        """Ask the device itself whether it still answers. Waits for what is under way."""


class Cpu:
    """The processor itself: work is done at once, in the caller's thread."""

    torch_device = torch.device("cpu")
    graphs = False

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor."""
        return torch.empty(shape, dtype=dtype)

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        """A tensor that is on both sides."""
        tensor = torch.empty(shape, dtype=dtype)
        return Buffer(tensor, tensor)

    def run(self, stream: Stream, work: Work, after: Event | None = None) -> Event:
        """Do it."""
        with record_function(f"hamba {stream}"):
            work()
        return _Done()

    def capture(self, work: Work) -> Work:
        """The work itself."""
        return work

    def clear(self) -> None:
        """Do nothing, since nothing is under way."""

    def is_lost(self) -> bool:
        """Return False: without the processor nobody would ask."""
        return False


class _Done:
    def synchronize(self) -> None:
        pass
