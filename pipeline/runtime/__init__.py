"""Runs a source, a line of stages and sinks, each in a thread of its own. Knows no hand."""
