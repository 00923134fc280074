"""The settings of how a corpus is done."""

from pydantic import Field

from stages.settings import StageSettings


class CorpusSettings(StageSettings):
    """Settings of how a corpus is done."""

    address: str | None = Field(None, description="of a Ray cluster: auto, or ray://…; none: one on this machine")
    workers: int | None = Field(None, ge=1, description="processes; none: as many as the cluster has room for")
    cpus: float = Field(1.0, gt=0, description="processors of a worker")
    gpus: float = Field(0.0, ge=0, description="GPUs of a worker: 1, or a share such as 0.25")
    at_once: int = Field(1, ge=1, le=64, description="videos that a worker does at once, which share its network")
    attempts: int = Field(3, ge=1, description="of a video whose worker dies, until it is left alone")
    recordings: bool = Field(False, description="keep each video's recording besides its table; none is cut then")
    segment: float = Field(1200.0, ge=0, description="seconds of a long video that are done by themselves; 0: all")
    warm_up: float = Field(90.0, ge=0, description="seconds before a segment that it begins earlier, and throws away")
