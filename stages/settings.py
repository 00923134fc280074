"""The base of every stage's settings."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from stages.common.files import expanded

UserPath = Annotated[Path, AfterValidator(expanded)]
"""A path as a person writes it, with ~ for their folder."""


class StageSettings(BaseModel):
    """Frozen, and refuses keys it does not know and numbers that are infinite. They stand beside the stage."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
