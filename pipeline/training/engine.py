"""Several processes that train one network together: `torchrun` starts them, and Lightning Fabric joins them.

Fabric sums gradients, moves what is trained to its device and waits; batches are shared here, and batch norms see the
whole batch, so that the loss is that of one process.
"""

import os
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from hamba_core.packages import needed_for
from hamba_core.weights import checked_device

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def joined(device: str) -> "Fabric":
    """Join the processes that `torchrun` started, or begin alone. Raises DependencyError, DeviceError."""
    with needed_for("training"):
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    kind = checked_device(device).type
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Fabric(accelerator=kind, devices=1)
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=kind,
        devices=here,
        num_nodes=int(os.environ["WORLD_SIZE"]) // here,
        # A head's first stage has parameters without use, as the released one's does.
        strategy=DDPStrategy(process_group_backend="nccl" if kind == "cuda" else "gloo", find_unused_parameters=True),
    )
    fabric.launch()
    return fabric


def parted() -> None:
    """Leave the other processes, if there are any."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def share(fabric: "Fabric", rows: Tensor) -> Tensor:
    """Those of a batch's rows that this process takes."""
    return rows.tensor_split(fabric.world_size)[fabric.global_rank]


def reduced(fabric: "Fabric", value: float, how: str = "sum") -> float:
    """Return the sum ("sum") or the most ("max") of what all processes have."""
    number = torch.tensor(value, dtype=torch.float64, device=fabric.device)
    total = fabric.all_reduce(number, reduce_op=how)
    return float(total) if isinstance(total, Tensor) else value


def share_statistics(fabric: "Fabric", network: nn.Module) -> None:
    """Have batch norms see the whole batch, wherever its hands are."""
    if fabric.world_size == 1:
        return
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d) and not isinstance(child, _SharedBatchNorm):
                setattr(module, name, _SharedBatchNorm.of(child))


class _SharedBatchNorm(nn.BatchNorm1d):
    """A batch norm over (B, C, ...) whose statistics are those of all processes' hands together.

    torch has one for GPUs alone.
    """

    @classmethod
    def of(cls, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> "_SharedBatchNorm":
        """Return one with the parameters and buffers of this norm."""
        shared = cls(norm.num_features, norm.eps, norm.momentum)
        shared.weight, shared.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            shared.register_buffer(name, buffer)
        return shared.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:
        rows = input.flatten(2)
        if not self.training:
            return super().forward(rows).view_as(input)
        count = rows.new_tensor([rows.numel() / self.num_features])
        sums = torch.cat([rows.sum((0, 2)), (rows * rows).sum((0, 2)), count])
        total: Tensor = all_reduce(sums)  # type: ignore[no-untyped-call]  # and in its backward pass the gradients' sum
        mean, square = total[: self.num_features] / total[-1], total[self.num_features : -1] / total[-1]
        variance = square - mean * mean
        self._remember(mean.detach(), variance.detach() * total[-1].detach() / (total[-1].detach() - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (rows * scale[:, None] + (self.bias - mean * scale)[:, None]).view_as(input)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        momentum = 0.1 if self.momentum is None else self.momentum
        for running, now in ((self.running_mean, mean), (self.running_var, variance)):
            if running is not None:
                running.lerp_(now, momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
