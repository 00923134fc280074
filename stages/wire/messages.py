"""The four kinds of messages, in this project's own types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stages.packets import ClockAnchor, FrameMeta, FrameResult, HandTopology, Status

Kind = Literal["hands", "model", "status", "image"]
VertexForm = Literal["float32", "float16", "none"]
"""How vertices travel: float16 is half the size, and off by at most 0.25 mm nearer than 1 m; "none" leaves them out."""


@dataclass(frozen=True)
class HandsMessage:
    """One frame's hands. `seq` counts the messages published on this topic: a gap is a loss."""

    seq: int
    result: FrameResult
    published_ns: int  # monotonic clock of the publishing host
    clock: ClockAnchor

    @property
    def topic(self) -> str:
        return f"hands/{self.result.frame.stream}"


@dataclass(frozen=True)
class ModelMessage:
    """What a client needs to know once: the meshes' topology, and who makes the hands."""

    stream: str
    topology: HandTopology
    estimator: str
    versions: Mapping[str, str]
    published_ns: int
    clock: ClockAnchor

    @property
    def topic(self) -> str:
        return f"model/{self.stream}"


@dataclass(frozen=True)
class StatusMessage:
    """The state of the run that publishes."""

    status: Status
    published_ns: int
    clock: ClockAnchor

    @property
    def topic(self) -> str:
        return f"status/{self.status.stream}"


@dataclass(frozen=True)
class ImageMessage:
    """A frame's picture, for viewers that draw over it. It may be smaller than the frame, of the same shape."""

    frame: FrameMeta
    jpeg: bytes
    published_ns: int
    clock: ClockAnchor

    @property
    def topic(self) -> str:
        return f"image/{self.frame.stream}"


Message = HandsMessage | ModelMessage | StatusMessage | ImageMessage
