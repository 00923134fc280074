"""Viewers are programs that show, record or play what a pipeline gives."""

from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path

_ours = _Path(__file__).parents[1]
for _name in ("hamba_core", "stages"):
    # A script's own folder comes first: a file of the same name there would be taken for ours, and fail oddly.
    _spec = _find_spec(_name)
    _found = _Path(_spec.origin).parent if _spec is not None and _spec.origin else None
    if _found is not None and _found != _ours / _name:
        raise ImportError(
            f"viewers: expected the package {_name} of hamba-stream, in {_ours / _name}, found another of that name: "
            f"{_spec.origin if _spec else ''}; rename it, or start Python elsewhere"
        )
