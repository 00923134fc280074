"""The base of every stage's settings."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from stages.common.files import expanded

UserPath = Annotated[Path, AfterValidator(expanded)]
"""A path as a person writes it, with ~ for their folder."""


class StageSettings(BaseModel):
    """Settings that stand beside a stage. They are frozen, and refuse unknown keys and infinite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
