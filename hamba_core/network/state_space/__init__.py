"""State-space blocks: the VSS block, its scans over four directions, and the convolution before them."""
