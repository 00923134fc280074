"""The engine takes crops through the network on one device, in batches of a few fixed sizes, several at once.

What happens to a batch: its pictures and squares are written to a slot's pinned buffers and uploaded; the crops are cut
on the device, go through the network, and the answers are put into one buffer; that is read back. Each step waits for
the event of the one before, and the host for the last one only. A slot is written to again when its read-back is done.

Where the device captures graphs, the network is captured for each slot and size when the engine is opened. Cutting
depends on the pictures' shape: it is captured for all sizes when the first pictures come, so that no later frame has to
wait for it. Other shapes are cut without a graph until they have come some times, since in a folder no two pictures may
be alike.

Where every frame is waited for, nothing of one batch runs beside another: copies, cutting and network are then one
graph on one stream (`together`), which saves the events between streams.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Final, Protocol

import numpy as np
import torch

from hamba_core.errors import DeviceError, PipelineError, first_line
from hamba_core.network import Hamba, plain_float32
from hamba_core.view import cut_places
from stages.packets import Choice
from stages.reconstruction.hamba.engine.device import Device, Event, Work
from stages.reconstruction.hamba.engine.device_errors import first_of, is_out_of_memory, means_lost
from stages.reconstruction.hamba.engine.rows import row_width, write_rows
from stages.reconstruction.hamba.engine.slots import Answer, Crop, Pending, Slot, in_batches

log = logging.getLogger(__name__)

_SEEN_OFTEN: Final = 8
"""Batches of one shape of pictures after which a graph that cuts them pays."""


class Engine(Protocol):
    """An engine turns crops into rows, on one device, on several, or on one that is shared."""

    @property
    def in_flight(self) -> int:
        """The number of calls of `begin` that gain from being under way at once."""

    @property
    def largest(self) -> int:
        """The most hands that go through the network at once."""

    def begin(self, crops: Sequence[Crop]) -> Answer:
        """Start on any number of crops. Raises DeviceError, and so does the answer."""

    def choices(self) -> tuple[Choice, ...]:
        """Return how the engine works, and what had to be changed since it was opened."""

    def close(self) -> None:
        """Free the engine, with whatever is under way."""


class DeviceEngine:
    """One network on one device. It is used from one thread at a time.

    `sizes` are those of its batches, ascending: a batch is filled up to the next one. `slots` batches can be under way.
    `crop_dtype` is the type in which crops are cut on a GPU, by matrix products or by `fused_crops`. Out of memory, the
    engine goes on with smaller batches, and says so in the log and in `choices`.
    """

    def __init__(
        self,
        network: Hamba,
        device: Device,
        sizes: Sequence[int],
        slots: int,
        crop_dtype: torch.dtype = torch.float32,
        *,
        fused_crops: bool = False,
        together: bool = False,
    ) -> None:
        self._network, self._device, self._crop_dtype = network, device, crop_dtype
        self._fused_crops, self._together = fused_crops, together and device.graphs
        self._sizes, self._wanted, self._count = tuple(sizes), sizes[-1], slots
        self._width = row_width(len(network.hand.v_template))
        self._slots: list[Slot] = []
        self._turn = 0
        self._shapes: Counter[tuple[int, ...]] = Counter()  # of pictures: how many batches of each came
        self._exact = crop_dtype == torch.float32 and device.torch_device.type == "cuda"
        self._not_captured = ""  # why
        self._lost: DeviceError | None = None
        mean, std = network.configuration.mean, network.configuration.std
        self._mean, self._std = (torch.tensor(v, dtype=torch.float32, device=device.torch_device) for v in (mean, std))

    @property
    def in_flight(self) -> int:
        """The number of slots."""
        return self._count

    @property
    def largest(self) -> int:
        """The most hands in a batch."""
        return self._sizes[-1]

    def open(self, on_step: Callable[[str], None] = lambda step: None) -> None:
        """Make the slots, capture graphs, run everything once. `on_step` is told of what takes time.

        Raises DeviceError.
        """
        with self._device_errors(), torch.inference_mode():
            while (shortage := self._build(on_step)) is not None:
                self._shrink(shortage)

    def begin(self, crops: Sequence[Crop]) -> Answer:
        """Start on any number of crops, in as many batches as they need. Raises DeviceError, and so does the answer."""
        if not self._slots:
            raise PipelineError("the hamba engine: expected open to be called first, found it closed; open it")
        answers = [self._begin_batch(batch) for batch in in_batches(crops, self.largest)]
        if len(answers) == 1:
            return answers[0]
        return lambda: np.concatenate([np.empty((0, self._width), np.float32), *(answer() for answer in answers)])

    def choices(self) -> tuple[Choice, ...]:
        """Return how batches and graphs are used."""
        place = self._device.torch_device
        if self.largest < self._wanted:
            reason = f"the memory of {place} did not suffice for {self._wanted}"
        else:
            reason = f"crops are cut on {place}"
        under_way = f"{self._count} under way at once" if self._count > 1 else "one after the other"
        hands = f"up to {self.largest} hands, {under_way}"
        batches = Choice("batches", hands, reason, fallback=self.largest < self._wanted)
        if not self._device.graphs:
            return (batches,)
        if self._not_captured:
            return batches, Choice("CUDA graphs", "none", f"capture failed: {self._not_captured}", fallback=True)
        return batches, Choice("CUDA graphs", f"of {', '.join(map(str, self._sizes))} hands", f"on {place}")

    def close(self) -> None:
        """Wait for what is under way, and free everything."""
        with suppress(DeviceError):
            self._finish_all()
        self._slots = []

    def _build(self, on_step: Callable[[str], None]) -> str | None:
        """Make the slots and try each size, the largest first; return the error's text if memory did not suffice."""
        try:
            for _ in range(self._count):
                slot = Slot(self._device, self.largest, self._width)
                self._device.run("compute", slot.clear)
                self._slots.append(slot)
            for size in reversed(self._sizes if self._device.graphs else self._sizes[:1]):
                for number, slot in enumerate(self._slots, 1):
                    if self._device.graphs:
                        on_step(f"capturing the network for {size} hands, {number} of {self._count}")
                        slot.networks[size] = self._captured(partial(self._run_network, slot, size))
                    self._device.run("compute", self._network_run(slot, size)).synchronize()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return first_line(error)
        return None

    def _shrink(self, shortage: str) -> None:
        """Halve the batches and begin anew without slots. Raises DeviceError where there is nothing to halve."""
        self._finish_all()
        self._slots, self._turn = [], 0
        self._device.clear()
        largest = self.largest
        self._sizes = tuple(size for size in self._sizes if size <= largest // 2)
        if not self._sizes:
            self._lost = DeviceError(
                f"{self._device.torch_device}: expected room for one hand, found: {shortage}; free some of its memory, "
                "or run on another device with reconstruct.device"
            )
            raise self._lost
        log.warning("%s: %s; on with batches of %d hands", self._device.torch_device, shortage, self.largest)

    def _begin_batch(self, crops: Sequence[Crop]) -> Answer:
        if len(crops) > self.largest:  # a batch before it ran out of memory
            return self.begin(crops)
        with self._device_errors(), torch.inference_mode():
            shortage = None
            try:
                return self._launch(crops)
            except RuntimeError as error:  # its traceback holds tensors: they are let go before there is more room
                if not is_out_of_memory(error):
                    raise
                shortage = first_line(error)
            while shortage is not None:
                self._shrink(shortage)
                shortage = self._build(lambda step: None)
            return self.begin(crops)

    def _launch(self, crops: Sequence[Crop]) -> Pending:
        """Put one batch onto the streams."""
        slot = self._slots[self._turn]
        self._turn = (self._turn + 1) % self._count
        if slot.pending is not None:
            slot.pending()
        size = next(size for size in self._sizes if size >= len(crops))
        pictures = slot.fill(self._device, crops)
        self._prepare_cutting(slot, pictures)
        whole = slot.wholes.get((size, pictures))
        read = self._device.run("compute", whole) if whole else self._by_streams(slot, size, pictures)
        slot.pending = Pending(slot, len(crops), partial(self._wait, read))
        return slot.pending

    def _by_streams(self, slot: Slot, size: int, pictures: int) -> Event:
        """Put copies and work of one batch onto a stream each; return the event of the end."""
        run, cut, network = self._device.run, self._cut_run(slot, size), self._network_run(slot, size)

        def compute() -> None:
            cut()
            network()

        uploaded = run("upload", partial(slot.upload, pictures, size))
        computed = run("compute", compute, uploaded)
        return run("read-back", partial(slot.rows.read_back, size), computed)

    def _wait(self, event: Event) -> None:
        with self._device_errors():
            event.synchronize()

    def _finish_all(self) -> None:
        for slot in self._slots:
            if slot.pending is not None:
                slot.pending()

    def _prepare_cutting(self, slot: Slot, pictures: int) -> None:
        """Capture how this slot's crops are cut, for pictures of the first shape, and of those that come often."""
        shape = slot.pictures.host.shape[1:]
        self._shapes[shape] += 1
        often = shape == next(iter(self._shapes)) or self._shapes[shape] > _SEEN_OFTEN
        if slot.cuts or not often or not self._device.graphs:
            return
        height, width = shape[:2]
        log.info("capturing how crops are cut from pictures of %d x %d", width, height)
        # The places that an earlier batch left may point to pictures that are no longer there.
        self._device.run("compute", slot.clear).synchronize()
        slot.cuts = {size: self._captured(partial(self._cut, slot, size)) for size in self._sizes}
        if self._together:
            slot.wholes = {
                (size, pictures): self._captured(partial(self._all_of_it, slot, size, pictures)) for size in self._sizes
            }

    def _all_of_it(self, slot: Slot, size: int, pictures: int) -> None:
        slot.upload(pictures, size)
        self._cut(slot, size)
        self._run_network(slot, size)
        slot.rows.read_back(size)

    def _cut_run(self, slot: Slot, size: int) -> Work:
        return slot.cuts.get(size) or partial(self._cut, slot, size)

    def _network_run(self, slot: Slot, size: int) -> Work:
        return slot.networks.get(size) or partial(self._run_network, slot, size)

    def _cut(self, slot: Slot, size: int) -> None:
        given = slot.pictures.device, slot.places.device[:size], self._mean, self._std, slot.crops[:size]
        cut_places(*given, self._crop_dtype, fused=self._fused_crops)

    def _run_network(self, slot: Slot, size: int) -> None:
        with plain_float32() if self._exact else nullcontext():
            write_rows(self._network(slot.crops[:size]), slot.rows.device[:size])

    def _captured(self, work: Work) -> Work:
        """Return the work captured if that is possible; if not, log so once and return the work itself."""
        if self._not_captured:
            return work
        try:
            return self._device.capture(work)
        except RuntimeError as error:
            if is_out_of_memory(error) or self._is_lost_with(error):
                raise
            self._not_captured = first_line(first_of(error))
            log.warning(
                "%s: capturing a CUDA graph failed, on without: %s",
                self._device.torch_device,
                self._not_captured,
                exc_info=error,
            )
            return work

    def _is_lost_with(self, error: RuntimeError) -> bool:
        """Return whether this error means that the device is lost: by CUDA's code, else by asking the device."""
        lost = means_lost(error)
        return self._device.is_lost() if lost is None else lost

    @contextmanager
    def _device_errors(self) -> Iterator[None]:
        """Raise DeviceError for a lost device; once it is lost, raise it again without asking the device."""
        if self._lost is not None:
            raise self._lost
        try:
            yield
        except RuntimeError as error:
            if not self._is_lost_with(error):
                raise
            self._lost = DeviceError(
                f"{self._device.torch_device}: expected it to go on working, found: {first_line(error)}; this process "
                "cannot use it any more: look at it with nvidia-smi and start again, or run with reconstruct.device=cpu"
            )
            raise self._lost from error
