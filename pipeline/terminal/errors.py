"""Errors reach a person at the terminal as a message and an exit status; with --debug, as a traceback too."""

import atexit
import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import typer

from hamba_core.errors import ConfigurationError, HambaError
from hamba_core.packages import missing_package
from pipeline.terminal.documents import print_error
from pipeline.terminal.streams import PIPE_CLOSED, check_limits, output_error
from stages.common.terminal import tell

ABANDONED_PREFIX = "hamba "
"""What the names of the runtime's threads begin with; one that is still there at the end was abandoned."""

USAGE = 2
"""Exit status of a command line that is not understood, as of anything else that is wrong with what was given."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def run_app(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command line and give its exit status.

    `--debug` may stand anywhere and adds the traceback; with `--json` the error is on standard output too, in one
    document with the report if there is one.
    """
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        check_limits()
        _check_arguments(arguments)
        result = app(args=arguments, standalone_mode=False)
    except typer.TyperException as error:
        return _tell_usage(error, arguments)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except HambaError as error:
        return _tell(error, str(error), error.exit_status, arguments, debug=debug)
    except MemoryError as error:
        message = "expected enough memory for this, found too little; close other programs, or try smaller pictures"
        return _tell(error, message, 1, arguments, debug=debug)
    except Exception as error:  # noqa: BLE001 - the last line of defence: nobody else is left to tell the user
        missing = missing_package(error, "this command") if isinstance(error, ImportError) else None
        if missing is not None:
            return _tell(missing, str(missing), missing.exit_status, arguments, debug=debug)
        message = (
            f"unexpected {type(error).__name__}: {error}\n"
            "This should not happen; run again with --debug and report what it prints."
        )
        return _tell(error, message, 1, arguments, debug=debug)
    return result if isinstance(result, int) else 0


def _check_arguments(arguments: Sequence[str]) -> None:
    """Raise ConfigurationError where an argument is empty, which would stand for this folder or for a default."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if not argument or (equals and not value and name.startswith("--")):
            option = name if argument else arguments[place - 1] if place else ""
            where = f"{option}: expected something after it" if option.startswith("-") else "expected no empty argument"
            raise ConfigurationError(f"{where}, found nothing; was a variable of the shell not set?")


def status_with_output(status: int) -> int:
    """Return the exit status, or another where standard output did not take what was written to it."""
    error = output_error()
    if error is None or status:
        return status
    if isinstance(error, BrokenPipeError):
        return PIPE_CLOSED
    tell(f"error: expected to be able to write to standard output, found: {error.strerror}")
    return HambaError.exit_status


def leave(status: int) -> NoReturn:
    """End the process, even if a thread that is stuck in a library's code would hold it for ever.

    What is registered for the end is done. Modules are not taken apart: that takes three quarters of the time that a
    run needs to end, seconds on a busy machine, and frees what the system frees anyway.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    abandoned = any(thread.name.startswith(ABANDONED_PREFIX) for thread in others)
    if not abandoned:
        if any(not thread.daemon for thread in others):
            sys.exit(status)  # which waits for them
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none at all
            stream.flush()
    os._exit(status)


def with_notes(message: str, error: Exception) -> str:
    """Return an error's message and its notes, a line each, without notes that the message already has."""
    return "\n".join([message, *(note for note in getattr(error, "__notes__", ()) if note not in message)])


def _tell(error: Exception, message: str, status: int, arguments: Sequence[str], *, debug: bool) -> int:
    if debug:
        tell(_hidden("".join(traceback.format_exception(error)), arguments))
    text = _hidden(with_notes(message, error), arguments)
    tell(f"error: {text}")
    if "--json" in arguments:
        print_error(error, text, status)
    return status


def _hidden(text: str, arguments: Sequence[str]) -> str:
    """Return the same with addresses of the command line as they may be shown, also where none belongs."""
    from stages.sources.address import source_name

    for argument in arguments:
        shown = str(source_name(argument))
        if shown != argument:
            text = text.replace(argument, shown).replace(str(Path(argument)), shown)
    return text


def _tell_usage(error: typer.TyperException, arguments: Sequence[str]) -> int:
    """Tell that the command line is not understood, in typer's own words."""
    from typer.rich_utils import rich_format_error

    error.message = _hidden(error.message, arguments)
    if "--json" in arguments:
        print_error(error, error.format_message(), USAGE)
    else:
        # Every TyperException that parsing raises is of the one kind that typer exports no name for.
        rich_format_error(error)  # type: ignore[arg-type]
    return USAGE
