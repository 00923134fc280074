"""VSS blocks in ten kernels each, on a float32 stream of rows (B * L, C)."""

from torch import Tensor
from torch.nn import functional

from hamba_core.network.fused.convolution import fused_convolution, plain_convolution
from hamba_core.network.fused.fusions import Fusions
from hamba_core.network.fused.merging import fused_merge, plain_merge
from hamba_core.network.fused.norm import PendingNorm
from hamba_core.network.fused.products import add_product, float32_product, gelu_product
from hamba_core.network.fused.scanning import fused_scans, fused_scans_and_steps, plain_scans, plain_steps
from hamba_core.network.state_space import Stage, VSSBlock


class FusedBlock:
    """One VSS block. `pending` are the biases that the stream lacks before it."""

    def __init__(self, block: VSSBlock, pending: Tensor) -> None:
        op, self.mlp = block.op, block.mlp
        self.norm1, self.norm2 = PendingNorm(block.norm, pending), PendingNorm(block.norm2, pending)
        self.dtype, self.inner = op.in_proj.weight.dtype, op.in_proj.weight.shape[0]
        self.in_proj, self.out_proj, self.out_norm = op.in_proj.weight, op.out_proj.weight, op.out_norm
        self.taps = op.conv2d.weight.detach().float().flatten(1).T.contiguous()  # (9, inner)
        self.bias = None if op.conv2d.bias is None else op.conv2d.bias.detach().float()
        self.x_proj = op.x_proj_weight.detach().flatten(0, 1).to(self.dtype)
        self.dt_proj, self.dt_bias = op.dt_projs_weight.detach(), op.dt_projs_bias.detach()
        self.A = (op.decay_rates() if op.A is None else op.A).detach()
        self.D = op.Ds.detach().view(op.directions, self.inner)

    def __call__(self, x: Tensor, shape: tuple[int, int, int], fusions: Fusions) -> None:
        """Go on with the stream of maps (B, H, W), in place."""
        rows = functional.linear(self.norm1(x, self.dtype, fused=fusions.norms), self.in_proj)
        maps = (fused_convolution if fusions.convolutions else plain_convolution)(
            rows.view(*shape, self.inner), self.taps, self.bias
        )
        features = float32_product(maps.flatten(0, 2), self.x_proj, fused=fusions.projections)
        merged = (fused_merge if fusions.merging else plain_merge)(
            self._scans(maps, features.view(shape[0], -1, len(self.D), features.shape[1] // len(self.D)), fusions),
            self.out_norm,
            self.dtype,
        )
        add_product(x, merged, self.out_proj, fused=fusions.residuals)
        rows = self.norm2(x, self.dtype, fused=fusions.norms)
        hidden = gelu_product(rows, self.mlp.fc1.weight, self.mlp.fc1.bias, fused=fusions.gelu)
        add_product(x, hidden, self.mlp.fc2.weight, fused=fusions.residuals)

    def _scans(self, maps: Tensor, features: Tensor, fusions: Fusions) -> Tensor:
        rates = self.dt_bias, self.A, self.D
        if fusions.scans and fusions.steps:
            return fused_scans_and_steps(maps, features, self.dt_proj, *rates)
        return (fused_scans if fusions.scans else plain_scans)(
            maps, features, plain_steps(features, self.dt_proj), *rates
        )


def fused_blocks(stage: Stage, pending: Tensor) -> tuple[list[FusedBlock], Tensor]:
    """Return the blocks of a stage whose stream lacks `pending` before it, and what it lacks after it."""
    made = []
    for block in stage.vss_blocks():
        made.append(FusedBlock(block, pending))
        pending = pending + block.mlp.fc2.bias.float()
    return made, pending
