"""Memory for time: what a block computed is computed again when its gradient is wanted, and not kept until then."""

from collections.abc import Iterable
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(blocks: Iterable[nn.Module]) -> None:
    """Have these blocks keep their inputs alone while they are trained. Their parameters and names stay as they are."""
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
