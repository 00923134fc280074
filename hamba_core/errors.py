"""Every error this project raises on purpose.

    HambaError                     what went wrong, in words for the person who has to fix it
    ├── ConfigurationError         a setting, an option or a combination of them
    ├── SourceError                a file, camera or stream cannot be opened or read
    │   ├── BrokenSourceError      it broke after frames had come; what came before is kept
    │   ├── NoPicturesError        nothing is between the times that are wanted of it
    │   └── NoHandsError           there is nothing wrong with it, and no hand in it
    ├── OutputError                a sink cannot write
    ├── WeightsError               a checkpoint or a converted weights file
    ├── HandModelError             a MANO file or another hand model
    ├── DeviceError                a GPU is missing, lost or out of memory
    ├── DependencyError            a package or a shared library that this work needs is missing
    ├── WireError                  a message breaks the wire protocol
    ├── PacketError                a packet's fields contradict their contract
    └── PipelineError              the runtime itself
        └── StuckStageError        a stage did not return in time and was abandoned

Each message says what was expected, what was found and what to do.
"""


class HambaError(Exception):
    """Base of the tree. `exit_status` is what the command line ends with."""

    exit_status = 2


class ConfigurationError(HambaError):
    """A setting, an option or a combination of them is wrong."""


class SourceError(HambaError):
    """A file, camera or stream cannot be opened or read."""


class BrokenSourceError(SourceError):
    """A source broke after it had given frames. What came before is kept."""

    exit_status = 3


class NoPicturesError(SourceError):
    """A video can be read, and has no picture between the times that are wanted of it."""


class NoHandsError(SourceError):
    """A recording is whole, and there is no hand in it to export."""


class OutputError(HambaError):
    """A sink cannot write: no permission, no space, an address in use."""


class WeightsError(HambaError):
    """A checkpoint or converted weights file is missing, foreign or damaged."""


class HandModelError(HambaError):
    """A MANO file or another hand model is missing, foreign or damaged."""


class DeviceError(HambaError):
    """A compute device is missing, was lost or ran out of memory."""


class DependencyError(HambaError):
    """A package or a shared library that this work needs is missing."""


class WireError(HambaError):
    """A message breaks the wire protocol."""


class PacketError(HambaError, ValueError):
    """A packet's fields contradict their contract."""


class PipelineError(HambaError):
    """The runtime itself failed."""


class StuckStageError(PipelineError):
    """A stage did not return in the stated time and was abandoned; the message names it."""


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, at most 200 characters."""
    lines = str(error).splitlines() or [type(error).__name__]
    return f"{lines[0]:.200}"


def error_reason(error: Exception) -> str:
    """Return why something failed, for a message that names the file already.

    Of the system's errors these are its words without number and file name, of others their text.
    """
    return getattr(error, "strerror", None) or str(error)
