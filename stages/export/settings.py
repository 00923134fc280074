"""What to export, and how."""

from difflib import get_close_matches
from math import isfinite
from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from hamba_core.errors import ConfigurationError
from hamba_core.hand import Side
from stages.settings import StageSettings, UserPath

Format = Literal["npz", "csv", "parquet", "openxr", "glb", "usd", "bvh", "ply", "obj", "mp4", "rosbag", "lerobot"]
FORMATS: tuple[Format, ...] = get_args(Format)


def formats_in(text: str) -> tuple[Format, ...]:
    """Return the formats of a list such as "glb,npz". Raises ConfigurationError, which names the nearest one."""
    names = list(dict.fromkeys(name.strip().lower() for name in text.split(",")))
    for name in names:
        if name not in FORMATS:
            near = get_close_matches(name, FORMATS, n=1)
            raise ConfigurationError(
                f"export to {text!r}: expected formats out of {', '.join(FORMATS)}, with commas between them, "
                f"found {name!r}" + (f"; did you mean {near[0]}?" if near else "")
            )
    return tuple(form for form in FORMATS if form in names)


class ExportSettings(StageSettings):
    """Settings of which hands are exported, and in which forms."""

    formats: tuple[Format, ...] = Field(("npz",), min_length=1)
    take: int | None = Field(None, ge=1, description="which take, if another program has merged several into one file")
    tracks: tuple[int, ...] | None = Field(None, description="track numbers; none: all")
    side: Side | None = Field(None, description="left or right; none: both")
    start: float | None = Field(None, description="s of the source's time")
    end: float | None = Field(None, description="s of the source's time, included")
    rate: float | None = Field(None, gt=0, le=1000, description="rows per second; none: as recorded")
    one_shape: bool = Field(True, description="glb, bvh: constant bone lengths along a track, not those of each frame")
    vertices: bool = Field(False, description="glb: the recorded meshes instead of skin and bones")
    hand_model: UserPath | None = Field(None, description="your MANO file, for skin and bones of a MANO recording")
    source: str | None = Field(
        None, description="mp4, lerobot: the video of the recording; none: a plain background; as recorded"
    )
    azimuth: float = Field(0.0, description="mp4 without source: degrees around the hands, to their left")
    elevation: float = Field(0.0, ge=-90, le=90, description="mp4 without source: degrees above the hands")
    distance: float | None = Field(
        None, gt=0, description="mp4 without source: m from the hands; none: the camera's distance"
    )
    video: bool = Field(True, description="lerobot: include the source's pictures")
    task: str | None = Field(None, description="lerobot: the task, in words")
    actions: UserPath | None = Field(None, description="lerobot: .npz or .csv with a robot's actions over `pts`")
    action: tuple[str, ...] = Field((), description="lerobot: arrays or columns of it; none: all positions")
    overwrite: bool = Field(False, description="replace files of an earlier export")

    @field_validator("start", "end", "azimuth")
    @classmethod
    def _is_finite(cls, value: float | None) -> float | None:
        if value is not None and not isfinite(value):
            raise ValueError("expected a finite number")
        return value

    @model_validator(mode="after")
    def _start_is_before_end(self) -> Self:
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError(f"expected a start that is not after the end, found {self.start:g} and {self.end:g} s")
        return self
