"""Detect: the hands in a frame, each with a box, a side and 21 joints."""
