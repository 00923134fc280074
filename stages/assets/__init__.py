"""Data shipped with the stages, each with the script that made it."""
