"""Measure a GPU in one process: latency and rate of the default way, its kernels and parts, and single kernels.

    python -m tests.gpu.visit.probe WEIGHTS.safetensors OUT [--device cpu] [--sizes 1,2,4,8,16,32] [--seconds 0.5]

Results are in OUT/probe.json as soon as they are measured.
"""

from tests.gpu.visit.probe import network, operations
from tests.gpu.visit.probe.sections import run_section

# In the order of their worth: when time runs out, the last ones are left out.
for section in (
    network.prepare,
    network.latency,
    network.rate,
    network.parts,
    network.kernels,
    network.fusions,
    network.live,
    operations.floors,
    operations.products,
    operations.split,
    operations.attention,
    operations.small_ones,
    operations.scan,
    network.compiled,
    operations.tuned,
):
    run_section(section)
