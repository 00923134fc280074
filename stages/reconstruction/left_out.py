"""Hands that an estimator leaves out, for the report."""

from collections.abc import Mapping

from stages.packets import Choice


def left_out_choices(left_out: Mapping[str, int]) -> tuple[Choice, ...]:
    """How many hands were left out, by cause: nothing where none was."""
    return tuple(Choice("hands left out", str(count), cause, fallback=True) for cause, count in left_out.items())
