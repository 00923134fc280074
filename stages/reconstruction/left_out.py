"""The report names the hands that an estimator leaves out, by cause."""

from collections.abc import Mapping

from stages.packets import Choice


def left_out_choices(left_out: Mapping[str, int]) -> tuple[Choice, ...]:
    """Return how many hands were left out, by cause; the answer is empty if none was."""
    return tuple(Choice("hands left out", str(count), cause, fallback=True) for cause, count in left_out.items())
