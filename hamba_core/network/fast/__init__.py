"""What makes the network fast without changing its answer: folded norms, packed weights, kept memory."""
