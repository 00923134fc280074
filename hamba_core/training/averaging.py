"""A running mean of a network's weights, which does better than the weights of any one step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class RunningWeights:
    """An exponential mean of parameters and buffers (Polyak and Juditsky, 1992); early on it forgets faster."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.state: dict[str, Tensor] = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def add(self, network: nn.Module) -> None:
        """Take in the weights as they are now."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)

    @contextmanager
    def lent_to(self, network: nn.Module) -> Iterator[None]:
        """Let the network have the mean in this block, and its own weights again after it."""
        own = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.state)
        yield
        network.load_state_dict(own)
