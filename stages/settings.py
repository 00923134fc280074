"""The base of every stage's settings."""

from pydantic import BaseModel, ConfigDict


class StageSettings(BaseModel):
    """Frozen, and refuses keys it does not know and numbers that are infinite. They stand beside the stage."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
