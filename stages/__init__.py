"""What flows through a pipeline and what happens to it: a file a stage."""
