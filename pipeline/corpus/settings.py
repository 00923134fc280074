"""The settings of how a corpus is done."""

from pydantic import Field

from stages.settings import StageSettings


class CorpusSettings(StageSettings):
    """Settings of how a corpus is done."""

    address: str | None = Field(None, description="address of a Ray cluster: auto or ray://…; none: a local one")
    workers: int | None = Field(None, ge=1, description="processes; none: as many as the cluster has room for")
    cpus: float = Field(1.0, gt=0, description="CPU cores per worker")
    gpus: float = Field(0.0, ge=0, description="GPUs per worker: 1, or a share such as 0.25")
    at_once: int = Field(1, ge=1, le=64, description="videos that a worker processes at once, sharing its network")
    attempts: int = Field(3, ge=1, description="attempts at a video whose worker dies")
    recordings: bool = Field(
        False, description="keep each video's recording as well as its table; no video is cut then"
    )
    segment: float = Field(1200.0, ge=0, description="length of the segments of long videos, s; 0: videos are not cut")
    warm_up: float = Field(90.0, ge=0, description="seconds by which a segment starts early, discarded afterwards")
