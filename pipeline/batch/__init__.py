"""Many sources: one after another, some at once, or live side by side."""
