"""Several processes that train one network together: `torchrun` starts them, torch's collectives join them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce


class Processes(NamedTuple):
    """This process among those of the run."""

    rank: int = 0
    processes: int = 1

    @property
    def leads(self) -> bool:
        """Whether it is the one that evaluates, prints and writes."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """Those of a batch's rows that this process takes."""
        return rows[self.rank :: self.processes]

    def wait(self) -> None:
        """Until all are here."""
        if self.processes > 1:
            distributed.barrier()

    def sum(self, value: float) -> float:
        """Of all processes."""
        if self.processes == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(total)
        return float(total)

    def most(self, value: float) -> float:
        """Of all processes."""
        if self.processes == 1:
            return value
        highest = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(highest, op=distributed.ReduceOp.MAX)
        return float(highest)

    def share_statistics(self, network: nn.Module) -> None:
        """Have batch norms see the whole batch, wherever its hands are."""
        if self.processes == 1:
            return
        for module in network.modules():
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm1d) and not isinstance(child, _SharedBatchNorm):
                    setattr(module, name, _SharedBatchNorm.of(child))

    def sum_gradients(self, network: nn.Module) -> None:
        """Give every process the sum of all gradients."""
        if self.processes == 1:
            return
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, summed in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))


class _SharedBatchNorm(nn.BatchNorm1d):
    """A batch norm over (B, C, N) whose statistics are those of all processes' hands together.

    torch has one for GPUs alone.
    """

    @classmethod
    def of(cls, norm: nn.BatchNorm1d) -> "_SharedBatchNorm":
        """One with the parameters and buffers of this one."""
        shared = cls(norm.num_features, norm.eps, norm.momentum)
        shared.weight, shared.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            shared.register_buffer(name, buffer)
        return shared.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        count = input.new_tensor([input.numel() / self.num_features])
        sums = torch.cat([input.sum((0, 2)), (input * input).sum((0, 2)), count])
        total: Tensor = all_reduce(sums)  # type: ignore[no-untyped-call]  # and in its backward pass the gradients' sum
        mean, square = total[: self.num_features] / total[-1], total[self.num_features : -1] / total[-1]
        variance = square - mean * mean
        self._remember(mean.detach(), variance.detach() * total[-1].detach() / (total[-1].detach() - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return input * scale[:, None] + (self.bias - mean * scale)[:, None]

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        momentum = 0.1 if self.momentum is None else self.momentum
        for running, now in ((self.running_mean, mean), (self.running_var, variance)):
            if running is not None:
                running.lerp_(now, momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes that `torchrun` started, or this one alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()
