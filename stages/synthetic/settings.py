"""The settings of `synthetic:`, as in `synthetic:?seed=3&width=1280&height=720&seconds=20&fps=30&hands=2&live=1`."""

from difflib import get_close_matches
from typing import Literal
from urllib.parse import parse_qsl

from pydantic import Field, ValidationError

from hamba_core.errors import ConfigurationError
from stages.settings import StageSettings

SCHEME = "synthetic:"

HELD_OUT_SEEDS = range(900_000, 900_100)
"""Seeds for evaluation alone: nothing is trained, fitted or tuned on them."""


Acts = Literal["all", "gestures"]
"""What hands do: everything in turn; or gestures alone, each by itself at home, with some that resemble others."""


class SyntheticSettings(StageSettings):
    """Settings of the test pattern."""

    seed: int = Field(0, ge=0, description="selects the person, the place and the order of gestures")
    width: int = Field(640, ge=16, le=8192, description="px")
    height: int = Field(480, ge=16, le=8192, description="px")
    seconds: float | None = Field(None, gt=0, description="length; none: 10, or endless if live")
    fps: float = Field(30.0, gt=0, le=1000, description="frames per second")
    acts: Acts = Field(
        "all", description="all; or gestures: pinch, fist, point, thumbs up, and motions that resemble them"
    )
    hands: int = Field(2, ge=1, le=2, description="one hand or both")
    live: bool = Field(False, description="deliver frames in real time, as a camera does, and skip late ones")

    @property
    def frames(self) -> int | None:
        """How many frames there are, at least one; None if it never ends."""
        if self.seconds is None and self.live:
            return None
        return max(1, round((10.0 if self.seconds is None else self.seconds) * self.fps))


def parse_synthetic(text: str) -> SyntheticSettings:
    """Return the settings in `synthetic:` with options after a question mark. Raises ConfigurationError."""
    example = "write for example synthetic:?seed=3&seconds=20"
    head, _, query = text.partition("?")
    if head != SCHEME:
        raise ConfigurationError(
            f"source {text!r}: expected {SCHEME!r} with options after '?', found {head!r}; {example}"
        )
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ConfigurationError(
            f"source {text!r}: expected options as key=value joined by '&', found {query!r}; {example}"
        ) from None
    known = list(SyntheticSettings.model_fields)
    values: dict[str, str] = {}
    for key, value in pairs:
        if key not in known:
            near = get_close_matches(key, known, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"source {text!r}: expected one of {', '.join(known)}, found {key!r}{hint}")
        if key in values:
            raise ConfigurationError(f"source {text!r}: expected each option once, found {key!r} again; give it once")
        values[key] = value
    try:
        return SyntheticSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        raise ConfigurationError(
            f"source {text!r}: {key} ({SyntheticSettings.model_fields[key].description}): "
            f"{first['msg'].lower()}, found {values[key]!r}; {example}"
        ) from None
