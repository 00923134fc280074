"""Which fused kernels run. Each has a flag, a plain reference beside it, and is tried out before it is used."""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Final, NamedTuple

from hamba_core.errors import ConfigurationError


@dataclass(frozen=True)
class Fusions:
    """A flag for each fused kernel: with False its plain reference runs in its place.

    On a CPU nothing is fused: the references exist to be read, and to be compared with.
    """

    patches: bool = True
    """Crops to rows of patches in the products' dtype, so that the patch embedding is one product."""
    norms: bool = True
    """Layer norms that add the biases left out before them, and give the dtype of the product after them."""
    residuals: bool = True
    """Products added onto the float32 residual stream by the product itself."""
    gelu: bool = True
    """GELU in the epilogue of the product before it: the tanh form, so only with bfloat16."""
    convolutions: bool = True
    """Depthwise 3 x 3 convolution, SiLU and the cast after it."""
    projections: bool = True
    """bfloat16 operands to float32 results without a cast: what feeds the scans."""
    scans: bool = True
    """The four scans of a block in one kernel."""
    merging: bool = True
    """Sum of the four scans, norm and cast."""
    graph: bool = True
    """The hand's graph: joints gathered for their products; products mixed, scaled and put back."""
    sampling: bool = True
    """Features sampled at joints; joint tokens, global token and their mean put in place."""
    hands: bool = True
    """The hand model in two kernels; the first estimate without vertices."""
    crops: bool = True
    """Crops by taps, in two kernels for any number of hands; see `hamba_core.view.crop_kernels`."""
    steps: bool = True
    """The scans' steps (`dt_proj`) made inside their kernel, in place of a batch of four products before it."""
    split_products: bool = True
    """Products onto the residual stream by a kernel of our own that splits their long side among programs."""
    early_starts: bool = True
    """Our kernels put onto the GPU before the one before them has ended; see `early_start`."""

    def without(self, names: Collection[str]) -> "Fusions":
        """Return these fusions without some. Raises ConfigurationError."""
        known = fusion_names()
        if unknown := sorted(set(names) - set(known)):
            raise ConfigurationError(
                f"fused kernels: expected names among {', '.join(known)}, found {', '.join(unknown)}; name those that "
                "are to be left out"
            )
        return replace(self, **dict.fromkeys(names, False))

    def names(self) -> tuple[str, ...]:
        """Return the names of those that are on."""
        return tuple(name for name in fusion_names() if getattr(self, name))


def fusion_names() -> tuple[str, ...]:
    """Return all flags' names."""
    return tuple(field.name for field in fields(Fusions))


MEASURED: Final = frozenset({"steps", "split_products", "early_starts"})
"""Those that some GPUs gain from and others lose: each stays where it is measured to be faster, at load."""

NO_FUSIONS: Final = Fusions().without(fusion_names())


class FusionChoice(NamedTuple):
    """Which fused kernels run, and why not the others."""

    fusions: Fusions
    reason: str
