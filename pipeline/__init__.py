"""Live 3D hands from any camera or video.

    for result in track_hands("clip.mp4"):  # any source
        ...
    with HandPipeline(max_hands=2) as hands:  # frames of your own loop
        result = hands(image, pts=t)

This is the roof of the house: it puts stages together and runs them. What is named here is imported when it is first
used.
"""

from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path

import lazy_loader

_ours = _Path(__file__).parents[1]
for _name in ("hamba_core", "stages", "viewers", "configs"):
    # As in `viewers`, which cannot be asked where a script has a file of its name beside it.
    _spec = _find_spec(_name)
    _found = _Path(_spec.origin).parent if _spec is not None and _spec.origin else None
    if _found is not None and _found != _ours / _name:
        raise ImportError(
            f"pipeline: expected the package {_name} of hamba-stream, in {_ours / _name}, found another of that name: "
            f"{_spec.origin if _spec else ''}; rename it, or start Python elsewhere"
        )

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
