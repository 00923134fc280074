"""How it is known where the camera stands."""

import re
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from stages.settings import StageSettings, UserPath

_BOARD: Final = re.compile(r"(\d{1,2})x(\d{1,2})")
_WAYS: Final = ("charuco", "tag", "pose", "trajectory", "topic")


class WorldSettings(StageSettings):
    """The one way in which it is known where the camera stands; without any, hands are in the camera frame alone."""

    charuco: str | None = Field(
        None, description="COLUMNSxROWS of a ChArUco board in the picture, with squares of length `square`"
    )
    square: float = Field(0.03, gt=0, le=10, description="m, length of a square of the board")
    marker: float | None = Field(None, gt=0, le=10, description="m, length of its markers; none: 0.72 × `square`")
    tag: int | None = Field(None, ge=0, le=100_000, description="number of a tag in the picture, of length `tag_size`")
    tag_size: float = Field(0.10, gt=0, le=10, description="m, length of the tag's black square")
    dictionary: str | None = Field(
        None, description="OpenCV's marker dictionary; none: 4X4_50 for a board, APRILTAG_36H11 for a tag"
    )
    watch: Literal["start", "always"] = Field(
        "start",
        description="board, tag. start: a camera that stands still, from what is seen first; always: one that moves, "
        "in every frame",
    )
    pose: UserPath | None = Field(
        None, description="YAML or JSON file with T_world_camera of a fixed camera, or of several by stream"
    )
    trajectory: UserPath | None = Field(None, description="TUM file with the poses of a moving camera")
    start: float | None = Field(
        None, description="s, time in the trajectory at which the source starts; none: that of its first pose"
    )
    topic: str | None = Field(
        None, description="ZeroMQ address on which the camera's poses are published, as lines of TUM format"
    )
    max_age: float = Field(
        0.5, ge=0, le=3600, description="s for which a moving camera's last pose is kept without a new one"
    )

    @field_validator("charuco")
    @classmethod
    def _is_a_board(cls, given: str | None) -> str | None:
        if given is not None and not _BOARD.fullmatch(given):
            raise ValueError("expected columns and rows of squares, as in 9x6")
        return given

    @field_validator("topic")
    @classmethod
    def _is_an_address(cls, given: str | None) -> str | None:
        if given is not None and not given.startswith(("tcp://", "ipc://", "inproc://")):
            raise ValueError("expected a ZeroMQ address, such as tcp://127.0.0.1:5600")
        return given

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in _WAYS if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError(f"expected one way to know the camera's place, found {' and '.join(ways)}")
        return self

    @property
    def board(self) -> tuple[int, int]:
        """Columns and rows of squares of the board that is asked for."""
        found = _BOARD.fullmatch(self.charuco or "")
        return (int(found[1]), int(found[2])) if found else (0, 0)

    def __bool__(self) -> bool:
        """Return whether the camera's place is known in any way."""
        return any(getattr(self, name) is not None for name in _WAYS)
