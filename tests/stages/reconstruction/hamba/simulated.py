"""A device that is a processor, and behaves as a GPU does at its worst: nothing is done before it has to be.

Work waits on its stream until somebody waits for its end, or until a test lets some of it go on. What it touches is
watched. Two pieces of work that no event orders and that touch the same buffer, one of them writing, are a RaceError;
so is pinned memory that the host changed while work that reads it was still waiting.
"""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from stages.reconstruction.hamba.engine.device import Buffer, Event, Stream, Work

STREAMS: tuple[Stream, ...] = ("upload", "compute", "read-back")


LAUNCH_FAILURE = 719
"""CUDA's code, as others in `cudaError_t`."""


def cuda_error(text: str, code: int) -> torch.AcceleratorError:
    """An error as torch raises it for what CUDA reports."""
    error = torch.AcceleratorError(f"CUDA error: {text}")
    error.error_code = code  # type: ignore[attr-defined]
    return error


class RaceError(Exception):
    """Nothing orders two uses of a buffer."""


@dataclass(eq=False)
class Piece:
    """Work on a stream, and the end of it."""

    device: "Simulated"
    stream: Stream
    number: int  # on the stream, from 1
    work: Work
    after: "Piece | None"
    before: Counter[str]  # how many pieces of each stream are done before it for sure, itself included
    pinned: dict[int, Tensor] = field(default_factory=dict)  # what the host had written when it was put here
    done: bool = False

    def synchronize(self) -> None:
        if self.device.lost:
            raise cuda_error("unspecified launch failure\nand more lines", LAUNCH_FAILURE)
        self.device.waited_for.append((self.stream, self.number))
        self.device.do(self)
        self.device.host |= self.before

    def comes_after(self, other: "Piece") -> bool:
        return other.number <= self.before[other.stream]


class Simulated:
    """One device. `log` has what was done in the order of doing, each the stream's name and the number on it."""

    graphs = True
    torch_device = torch.device("cpu")

    def __init__(self) -> None:
        self.log: list[tuple[Stream, int]] = []
        self.waited_for: list[tuple[Stream, int]] = []
        self.captures = 0
        self.most_rows: int | None = None  # a larger buffer does not fit
        self.fail_at: dict[Stream, Exception] = {}  # raised by the next work that is put there
        self.refuses_capture = self.lost = False
        self.short_in_capture = 0  # so many captures run out of memory
        self.host: Counter[str] = Counter()
        self._queues: dict[Stream, deque[Piece]] = {stream: deque() for stream in STREAMS}
        self._last: dict[Stream, Piece] = {}
        self._watch = _Watch()

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        if self.most_rows is not None and shape[0] > self.most_rows:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {shape[0]} rows")
        return self._watch.watched(torch.full(shape, 77, dtype=dtype))

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        pinned = self._watch.watched(torch.full(shape, 99, dtype=dtype))
        self._watch.pinned[pinned.untyped_storage().data_ptr()] = pinned
        return Buffer(pinned, self.empty(shape, dtype))

    def run(self, stream: Stream, work: Work, after: Event | None = None) -> Piece:
        if stream in self.fail_at:
            raise self.fail_at.pop(stream)
        assert after is None or isinstance(after, Piece)
        last = self._last.get(stream)
        number = last.number + 1 if last else 1
        before = Counter(self.host) | (last.before if last else Counter()) | (after.before if after else Counter())
        before[stream] = number
        piece = Piece(self, stream, number, work, after, before)
        if stream != "read-back":  # a graph of everything copies on the compute stream
            piece.pinned = {place: tensor.clone() for place, tensor in self._watch.pinned.items()}
        self._queues[stream].append(piece)
        self._last[stream] = piece
        return piece

    def capture(self, work: Work) -> Work:
        self.clear()
        if self.refuses_capture:
            raise torch.AcceleratorError("CUDA error: operation not permitted when stream is capturing\nand more")
        if self.short_in_capture:
            self.short_in_capture -= 1
            try:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            finally:  # the capture ends, too, and badly
                raise torch.AcceleratorError("CUDA error: operation failed due to a previous error during capture")
        self.captures += 1
        self.run("compute", work).synchronize()
        return work

    def clear(self) -> None:
        for piece in list(self._last.values()):
            self.do(piece)
            self.host |= piece.before

    def is_lost(self) -> bool:
        return self.lost

    def under_way(self) -> int:
        """Read-backs that nobody has waited for."""
        last = self._last.get("read-back")
        return (last.number if last else 0) - self.host["read-back"]

    def do(self, piece: Piece) -> None:
        """Do this piece of work, and what has to be done before."""
        while not piece.done:
            first = self._queues[piece.stream][0]
            if first.after is not None:
                self.do(first.after)
            self._do_first(first.stream)

    def go_on(self, random: Random) -> None:
        """Do a piece of work that could be done now, whichever."""
        ready = [s for s, queue in self._queues.items() if queue and (queue[0].after is None or queue[0].after.done)]
        if ready:
            self._do_first(random.choice(ready))

    def go_on_with(self, stream: Stream) -> None:
        """Do what can be done on this stream alone."""
        queue = self._queues[stream]
        while queue and (queue[0].after is None or queue[0].after.done):
            self._do_first(stream)

    def _do_first(self, stream: Stream) -> None:
        piece = self._queues[stream].popleft()
        self._watch.piece = piece
        with torch.inference_mode(), self._watch:
            piece.work()
        piece.done = True
        self.log.append((piece.stream, piece.number))


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees which buffers the operators of a piece of work read and write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.piece: Piece | None = None
        self.pinned: dict[int, Tensor] = {}  # by where its memory is
        self._buffers: set[int] = set()
        self._readers: defaultdict[int, list[Piece]] = defaultdict(list)  # since it was last written
        self._writers: dict[int, Piece] = {}

    def watched(self, tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        self._buffers.add(place)
        # Memory that was another buffer's before has no history.
        self._readers.pop(place, None)
        self._writers.pop(place, None)
        self.pinned.pop(place, None)
        return tensor

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for number, argument in enumerate(func._schema.arguments):
            value = args[number] if number < len(args) else kwargs.get(argument.name)
            writes = argument.alias_info is not None and argument.alias_info.is_write
            for tensor in value if isinstance(value, list | tuple) else [value]:
                if isinstance(tensor, Tensor):
                    self._touch(tensor.untyped_storage().data_ptr(), writes)
        return func(*args, **kwargs)

    def _touch(self, place: int, writes: bool) -> None:
        piece = self.piece
        if place not in self._buffers or piece is None:
            return
        if place in piece.pinned and not torch.equal(self.pinned[place], piece.pinned[place]):
            raise RaceError(f"the host wrote to what {piece.stream} {piece.number} reads, before it was done")
        others = [self._writers[place]] if place in self._writers else []
        if writes:
            others += self._readers[place]
        for other in others:
            if other is not piece and not piece.comes_after(other):
                raise RaceError(
                    f"{piece.stream} {piece.number} {'writes' if writes else 'reads'} a buffer of "
                    f"{other.stream} {other.number}, and no event says that one is done"
                )
        if writes:
            self._writers[place], self._readers[place] = piece, []
        else:
            self._readers[place].append(piece)
