"""What can be set about where frames come from."""

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.settings import StageSettings, UserPath


class SourceSettings(StageSettings):
    """Settings of every kind of source; each uses what concerns it.

    The camera's intrinsics are given by `fx, fy, cx, cy`, or by `field_of_view`, or by a `calibration` file, and are
    estimated otherwise. They are always those of the upright picture as it is shown, after its rotation.
    """

    fx: float | None = Field(None, ge=1e-3, le=1e9)
    """Focal lengths and principal point in pixels; all four or none. A picture's centre is (width / 2, height / 2)."""
    fy: float | None = Field(None, ge=1e-3, le=1e9)
    cx: float | None = Field(None, ge=-1e9, le=1e9)
    cy: float | None = Field(None, ge=-1e9, le=1e9)
    field_of_view: float | None = Field(None, ge=0.01, le=179.9)
    """Degrees spanned by the longer side of the picture."""
    calibration: UserPath | None = None
    """A file as OpenCV's calibration writes it (YAML, XML or JSON); pictures are undistorted by it."""

    realtime: bool = False
    """Play files at their own rate, as a camera would give them, rather than as fast as they are read."""
    image_rate: float = Field(30.0, gt=0, le=1000)
    """Pictures a second in a folder or glob of images."""
    images: Literal["auto", "stills", "sequence"] = "auto"
    """Whether a folder's pictures are single ones or the frames of one scene; auto: a scene if they are numbered."""
    max_side: int = Field(8192, ge=16, le=65535)
    """The longest side of a picture that is accepted, in pixels: a guard against files that fill the memory."""
    decoder_threads: int = Field(0, ge=0, le=64)
    """Threads of the video decoder; 0 is half of the cores, at most 8."""

    camera_width: int | None = Field(None, ge=16)
    """What to ask of a camera; it gives the nearest it can. None is the camera's own choice."""
    camera_height: int | None = Field(None, ge=16)
    camera_rate: float | None = Field(None, gt=0, le=1000)

    open_timeout: float = Field(10.0, gt=0, le=600)
    """Seconds for a stream or a camera to open."""
    read_timeout: float = Field(5.0, gt=0, le=600)
    """Seconds without data after which a stream or a camera counts as dropped."""
    reconnect: bool = True
    """Open a live stream or a camera again when it dropped."""
    reconnect_timeout: float = Field(30.0, gt=0, le=1e9)
    """Seconds after its last picture when a dropped stream or camera is given up."""

    @model_validator(mode="after")
    def _one_way_to_intrinsics(self) -> Self:
        pinhole = (self.fx, self.fy, self.cx, self.cy)
        given = [value is not None for value in pinhole]
        if any(given) and not all(given):
            missing = ", ".join(
                name for name, is_given in zip(("fx", "fy", "cx", "cy"), given, strict=True) if not is_given
            )
            raise ValueError(f"expected all of fx, fy, cx, cy or none of them; {missing} is missing")
        if all(given) + (self.field_of_view is not None) + (self.calibration is not None) > 1:
            raise ValueError(
                "expected one way to give the camera: fx, fy, cx, cy; or field_of_view; or calibration; found several"
            )
        if (self.camera_width is None) != (self.camera_height is None):
            raise ValueError("expected camera_width and camera_height together, or neither")
        return self
