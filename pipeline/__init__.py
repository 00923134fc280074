"""Live 3D hands from any camera or video.

    for result in track_hands("clip.mp4"):  # any source
        ...
    with HandPipeline(max_hands=2) as hands:  # frames of your own loop
        result = hands(image, pts=t)

This is the roof of the house: it puts stages together and runs them. What is named here is imported when it is first
used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
