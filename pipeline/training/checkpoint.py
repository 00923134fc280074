"""What a run needs to go on where it was: written whole or not at all, so that a kill costs few steps."""

import os
import tempfile
from pathlib import Path
from typing import Any, Final

import torch

from hamba_core.errors import ConfigurationError, OutputError, WeightsError, first_line

CHECKPOINT: Final = "checkpoint.pt"
"""Its name in a run's folder."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write it beside its place, then move it there. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: the checkpoint cannot be written: {error}; give a folder with room in it"
        ) from error


def load_checkpoint(path: Path, settings: str) -> dict[str, Any]:
    """Return what `save_checkpoint` wrote, of a run whose settings have this hash.

    Raises WeightsError where it is no checkpoint, ConfigurationError where it is of other settings.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged archive raises
        raise WeightsError(
            f"{path}: expected a training checkpoint, found: {first_line(error)}; remove it to begin again"
        ) from error
    if not isinstance(state, dict) or not {"network", "settings"} <= state.keys():
        raise WeightsError(f"{path}: expected a training checkpoint, found another file; remove it to begin again")
    if state["settings"] != settings:
        raise ConfigurationError(
            f"{path.parent}: expected a run with the settings {settings}, found one with {state['settings']}; go on "
            "with the settings that it began with, or give another folder"
        )
    return state
