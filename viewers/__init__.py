"""Programs that take what a pipeline gives."""
