"""The base of every stage's settings."""

from pydantic import BaseModel, ConfigDict


class StageSettings(BaseModel):
    """Frozen, and refuses keys it does not know. A stage's settings stand beside the stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)
