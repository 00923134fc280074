"""The lens is guessed if it is not told: from the kind of source, and from what a video's tags say of it.

Focal lengths are in terms of 35 mm film: the one that spans the same diagonal on it (CIPA DCG-001).
"""

from collections.abc import Mapping
from math import hypot
from typing import Final, NamedTuple

from hamba_core.view import FILM_DIAGONAL, Intrinsics


class LensGuess(NamedTuple):
    """A guess is a lens, how uncertain it is, and where it comes from."""

    focal_35mm: float  # mm
    focal_std: float  # relative
    reason: str

    def camera(self, width: int, height: int) -> Intrinsics:
        """Return the camera of a picture of this size, px."""
        focal = self.focal_35mm / FILM_DIAGONAL * hypot(width, height)
        return Intrinsics(focal, focal, width / 2, height / 2, estimated=True, focal_std=self.focal_std)


PICTURES: Final = LensGuess(36.0, 0.25, "as between a phone's wide lens (27 mm) and a camera's normal one (50 mm)")
WEBCAM: Final = LensGuess(30.0, 0.15, "as webcams have")
NETWORK: Final = LensGuess(28.0, 0.3, "as phones and surveillance cameras have")
PHONE: Final = LensGuess(29.0, 0.1, "as phones film, whose make is in the video's tags")

_TOLD: Final = "focal_length.35mm_equivalent"  # Apple's com.apple.quicktime.camera.…
_PHONE_TAGS: Final = (
    "com.apple.quicktime.model",
    "com.android.model",
    "com.android.version",
    "com.android.manufacturer",
)


def guess_of_kind(kind: str) -> LensGuess:
    """Return the guess for a source of this kind, as in `SourceInfo.kind`."""
    return {"camera": WEBCAM, "network": NETWORK}.get(kind, PICTURES)


def guess_of_tags(tags: Mapping[str, str]) -> LensGuess | None:
    """Return what a video's tags say of its lens; None if they say nothing."""
    for name, value in tags.items():
        focal = _number(value) if name.endswith(_TOLD) else None
        if focal is not None:
            return LensGuess(focal, 0.05, f"{focal:g} mm in terms of 35 mm film, from the video's tags")
    return PHONE if any(name in tags for name in _PHONE_TAGS) else None


def _number(text: str) -> float | None:
    """Return a tag's focal length, mm, if a lens can have it."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 5 <= value <= 2000 else None
