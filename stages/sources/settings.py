"""The settings of sources: a group for each kind of source, and what they share."""

import logging
from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stages.settings import StageSettings, UserPath
from stages.sources.part import seconds_of
from stages.sources.regions import Region
from stages.world import WorldSettings

logger = logging.getLogger(__name__)


class LensSettings(StageSettings):
    """The camera's intrinsics, which are estimated if they are not given.

    They are given by `fx, fy, cx, cy`, or by `field_of_view`, or by a `calibration` file. They are always those of the
    upright picture as it is shown, after its rotation.
    """

    fx: float | None = Field(None, ge=1e-3, le=1e9, description="focal length in x, px; with fy, cx and cy")
    fy: float | None = Field(None, ge=1e-3, le=1e9, description="focal length in y, px")
    cx: float | None = Field(
        None, ge=-1e9, le=1e9, description="principal point in x, px; a picture's centre is at half its width"
    )
    cy: float | None = Field(None, ge=-1e9, le=1e9, description="principal point in y, px")
    field_of_view: float | None = Field(
        None, ge=0.01, le=179.9, description="degrees spanned by the longer side of the picture"
    )
    calibration: UserPath | None = Field(
        None, description="calibration file of OpenCV's, ROS's, Kalibr's or COLMAP's; it takes out the distortion too"
    )
    calibrated_camera: str | None = Field(
        None, description="which camera of a calibration of several: Kalibr's name, as cam1, or COLMAP's number"
    )

    @model_validator(mode="after")
    def _one_way_to_intrinsics(self) -> Self:
        pinhole = {"fx": self.fx, "fy": self.fy, "cx": self.cx, "cy": self.cy}
        missing = [name for name, value in pinhole.items() if value is None]
        if 0 < len(missing) < len(pinhole):
            raise ValueError(f"expected all of fx, fy, cx, cy or none of them; {', '.join(missing)} is missing")
        if self.calibrated_camera is not None and self.calibration is None:
            raise ValueError("expected a calibration with calibrated_camera, found none")
        if (not missing) + (self.field_of_view is not None) + (self.calibration is not None) > 1:
            raise ValueError(
                "expected one way to give the camera: fx, fy, cx, cy; or field_of_view; or calibration; found several"
            )
        return self


class DecodingSettings(StageSettings):
    """How videos, streams and pictures are decoded."""

    max_side: int = Field(
        8192, ge=16, le=65535, description="longest side of a picture, px: a guard against files that fill the memory"
    )
    max_gif_pixels: int = Field(
        30_000_000_000,
        ge=1,
        description="most pixels of a GIF, or of another file of several pictures, all together: a small one can "
        "have trillions",
    )
    threads: int = Field(0, ge=0, le=64, description="threads of the video decoder; 0 is half of the cores, at most 8")


class PictureSettings(StageSettings):
    """How a folder or a pattern of picture files is taken."""

    kind: Literal["auto", "stills", "sequence"] = Field(
        "auto", description="single pictures, or the frames of one scene; auto: a scene if they are numbered"
    )
    rate: float = Field(30.0, gt=0, le=1000, description="pictures a second")


class CameraSettings(StageSettings):
    """What a camera is asked for; the nearest that it can is taken.

    If nothing is set, that is 1280x720 at 30 pictures a second (`hamba cameras` shows what it comes to).
    """

    width: int | None = Field(None, ge=16, description="px, together with height")
    height: int | None = Field(None, ge=16, description="px, together with width")
    rate: float | None = Field(None, gt=0, le=1000, description="pictures a second")

    @model_validator(mode="after")
    def _whole_size(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("expected width and height together, or neither")
        return self


class LiveSettings(StageSettings):
    """How long cameras and streams are waited for."""

    open_timeout: float = Field(10.0, gt=0, le=600, description="seconds for it to open")
    read_timeout: float = Field(5.0, gt=0, le=600, description="seconds without data after which it counts as dropped")
    reconnect: bool = Field(True, description="open it again when it dropped")
    reconnect_timeout: float | None = Field(
        None, gt=0, le=1e9, description="seconds after which it is given up, once it dropped; null is never"
    )
    wait: bool = Field(False, description="try a first connection that fails again, until it is there")
    max_fetch: int = Field(
        2_000_000_000,
        ge=0,
        description="most bytes of a file at an address that are fetched into a temporary file, where its index is at "
        "its end and the server gives it from its beginning alone",
    )
    max_age: float = Field(
        0.5, gt=0, le=600, description="seconds behind its newest packet from which on it is skipped to a key frame"
    )


MOVED: Final = {
    **{name: ("lens", name) for name in ("fx", "fy", "cx", "cy", "field_of_view", "calibration")},
    "max_side": ("decoding", "max_side"),
    "decoder_threads": ("decoding", "threads"),
    "images": ("pictures", "kind"),
    "image_rate": ("pictures", "rate"),
    **{f"camera_{name}": ("camera", name) for name in ("width", "height", "rate")},
    **{name: ("live", name) for name in ("open_timeout", "read_timeout", "reconnect", "reconnect_timeout")},
}
"""Where settings of earlier versions are now; recordings hold them by their old names."""

_said: set[str] = set()


class SourceSettings(StageSettings):
    """The settings of every kind of source; each uses what concerns it."""

    realtime: bool = Field(
        False, description="play files at their own rate, as a camera would give them, not as fast as they are read"
    )
    track: int | None = Field(
        None, ge=0, description="which video of a file that has several, counted from 0; else the default or largest"
    )
    start: float | None = Field(
        None,
        ge=0,
        le=1e9,
        description="of a file, what comes before this time is left out: seconds, or as in 1:02:03.5",
    )
    end: float | None = Field(None, gt=0, le=1e9, description="of a file, what comes from this time on is left out")
    region: str | None = Field(
        None,
        description="x,y,width,height: the part of the upright picture that is looked at, in pixels, or in shares of "
        "it (0 to 1) if none is above 1; results are in the region's pixels, metres stay as they are",
    )
    lens: LensSettings = LensSettings()
    decoding: DecodingSettings = DecodingSettings()
    pictures: PictureSettings = PictureSettings()
    camera: CameraSettings = CameraSettings()
    live: LiveSettings = LiveSettings()
    world: WorldSettings = WorldSettings()

    _times = field_validator("start", "end", mode="before")(seconds_of)

    @field_validator("end")
    @classmethod
    def _check_end(cls, end: float | None, others: ValidationInfo) -> float | None:
        start = others.data.get("start") or 0.0
        if end is not None and end <= start:
            raise ValueError(f"expected a time after source.start, {start:g} s")
        return end

    @field_validator("region", mode="before")
    @classmethod
    def _check_region(cls, given: Any) -> Any:
        if isinstance(given, list | tuple):  # as YAML and Python have it
            given = ",".join(map(str, given))
        if isinstance(given, str):
            Region.parse(given)
        return given

    @model_validator(mode="before")
    @classmethod
    def _take_old_names(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or not MOVED.keys() & given.keys():
            return given
        taken: dict[str, Any] = {name: value for name, value in given.items() if name not in MOVED}
        for name in MOVED.keys() & given.keys():
            group, key = MOVED[name]
            inside = taken.get(group, {})
            if isinstance(inside, StageSettings):
                inside = inside.model_dump(exclude_unset=True)
            taken[group] = {**inside, key: given[name]} if isinstance(inside, Mapping) else inside
            if name not in _said:
                _said.add(name)
                logger.warning("source.%s is called source.%s.%s now; the old name still works", name, group, key)
        return taken
