"""GLB: a skinned or a morphed mesh with its animation."""
