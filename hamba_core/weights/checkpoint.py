"""The released checkpoint: a pickle of tensors, read with nothing in it executed."""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hamba_core.errors import WeightsError, first_line
from hamba_core.network import RELEASED, read_configuration
from hamba_core.untrusted import ARCHIVE_ERRORS

ADVICE: Final = "give a Hamba release's folder, its .ckpt, or a file made by hamba weights import (docs/model.md)"

_UNUSED: Final = ("discriminator.", "mano.", "initialized")
"""Groups of tensors that a checkpoint may hold and the network does not."""


class CheckpointFile:
    """A release's checkpoint, held in memory, with the configuration that stands beside it."""

    def __init__(self, path: Path) -> None:
        """Read it whole. Raises WeightsError, ConfigurationError."""
        self.path = path
        settings = path.absolute().parent.parent / "model_config.yaml"
        if settings.is_file():
            self.configuration, self.configured_by = read_configuration(settings), str(settings)
        else:
            self.configuration = RELEASED
            self.configured_by = f"the released configuration, for want of {settings}"
        self.origin = f"checkpoint, configured by {self.configured_by}"
        self._tensors = _read(path)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return shapes of the network's tensors."""
        return {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def read(self, dtypes: Mapping[str, torch.dtype]) -> dict[str, Tensor]:
        """Return these tensors, each in its dtype."""
        return {name: self._tensors[name].to(dtype) for name, dtype in dtypes.items()}

    def drop(self, names: Iterable[str]) -> None:
        """Let go of these tensors."""
        for name in names:
            del self._tensors[name]

    def hand(self) -> dict[str, Tensor]:
        """Return nothing: the hand model is a file of its own in a release."""
        return {}


def find_checkpoint(folder: Path) -> Path:
    """Return the checkpoint of a release's folder. Raises WeightsError."""
    found = sorted((folder / "checkpoints").glob("*.ckpt"))
    named = [file for file in found if file.name == "hamba.ckpt"] or found
    if len(named) != 1:
        what = f"{', '.join(file.name for file in named)} there" if named else "none"
        raise WeightsError(f"{folder}: expected a release with checkpoints/hamba.ckpt, found {what}; {ADVICE}")
    return named[0]


def _read(path: Path) -> dict[str, Tensor]:
    """Return the network's tensors, by the release's names, in a checkpoint that is whole. Raises WeightsError."""
    check_archive(path, contents=True)
    try:
        # Lightning saves a run's settings beside the tensors, as yacs's mapping: read as a plain one, and not used.
        with torch.serialization.safe_globals([(OrderedDict, "yacs.config.CfgNode")]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: expected tensors alone, found {_unsafe_names(path)}; refused, nothing in it was "
            f"executed; {ADVICE}"
        ) from error
    except (RuntimeError, OSError, LookupError, ValueError, TypeError, AttributeError, EOFError, MemoryError) as error:
        raise WeightsError(
            f"{path}: expected a checkpoint, found a damaged or foreign file: {first_line(error)}; {ADVICE}"
        ) from error
    tensors = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(tensors, dict):
        found = f"a dict of {some(map(str, content))}" if isinstance(content, dict) else type(content).__name__
        raise WeightsError(f"{path}: expected a dict with a state_dict, found {found}; {ADVICE}")
    kept = {str(name): value for name, value in tensors.items() if not str(name).startswith(_UNUSED)}
    if foreign := [f"{name}: {type(value).__name__}" for name, value in kept.items() if not isinstance(value, Tensor)]:
        raise WeightsError(f"{path}: expected a state_dict of tensors, found {some(foreign)}; {ADVICE}")
    if empty := [f"{name}: {_kind(value)}" for name, value in kept.items() if _kind(value)]:
        raise WeightsError(f"{path}: expected tensors with their numbers, found {some(empty)}; {ADVICE}")
    if repeated := [name for name, tensor in kept.items() if tensor.nbytes > tensor.untyped_storage().nbytes()]:
        raise WeightsError(f"{path}: expected every number in the file, found fewer for {some(repeated)}; {ADVICE}")
    return kept


def _kind(tensor: Tensor) -> str:
    """Return what a tensor is if it is not plainly its numbers, one after the other; an empty text if it is."""
    if tensor.is_meta:
        return "on the device meta, without any"
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        return f"{tensor.dtype}, {tensor.layout}"
    return ""


def check_archive(path: Path, *, contents: bool) -> None:
    """Raise WeightsError if it is no archive as torch.save writes it, or damaged.

    If `contents`, its contents' checksums, which torch does not check, are checked too.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            packed = next((entry.filename for entry in archive.infolist() if entry.compress_type), None)
            damaged = archive.testzip() if contents and not packed else None
    except OSError as error:
        raise WeightsError(f"{path}: expected a readable checkpoint, found: {error.strerror}; {ADVICE}") from error
    except ARCHIVE_ERRORS as error:
        raise WeightsError(
            f"{path}: expected a checkpoint as torch.save writes it, found a file that is cut short or foreign "
            f"({error}); get it again, or {ADVICE}"
        ) from error
    if packed:
        raise WeightsError(f"{path}: expected what torch.save writes, found {packed:.80} compressed; {ADVICE}")
    if damaged is not None:
        raise WeightsError(f"{path}: expected an intact checkpoint, found {damaged} damaged in it; get it again")


def _unsafe_names(path: Path) -> str:
    with suppress(Exception):
        return some(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    return "a pickle that cannot be read"


def some(names: Iterable[str], most: int = 4) -> str:
    """Return the first few, and how many more."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"{name:.120}" for name in names[:most]) + more
