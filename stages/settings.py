"""The base of every stage's settings."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from stages.common.files import expanded


def _no_empty_path(given: Any) -> Any:
    if given == "":
        raise ValueError("expected a path, found an empty text, which would stand for this folder")
    return given


UserPath = Annotated[Path, BeforeValidator(_no_empty_path), AfterValidator(expanded)]
"""A path as a person writes it, with ~ for their folder."""


class StageSettings(BaseModel):
    """Settings that stand beside a stage. They are frozen, and refuse unknown keys and infinite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
