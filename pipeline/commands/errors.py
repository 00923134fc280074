"""How errors reach the person at the terminal: a message and an exit status; a traceback only with --debug."""

import json
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click
import typer

from hamba_core.errors import HambaError

ABANDONED_PREFIX = "hamba "
"""What the names of the runtime's threads begin with; one that is still there at the end was abandoned."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def run_app(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command line and give its exit status.

    `--debug` may stand anywhere and adds the traceback; with `--json` the error goes to standard output as JSON too.
    """
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        result = app(args=arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except HambaError as error:
        return _tell(error, str(error), error.exit_status, debug=debug, as_json="--json" in arguments)
    except Exception as error:  # noqa: BLE001 - the last line of defence: nobody else is left to tell the user
        message = (
            f"unexpected {type(error).__name__}: {error}\n"
            "This should not happen; run again with --debug and report what it prints."
        )
        return _tell(error, message, 1, debug=debug, as_json="--json" in arguments)
    return result if isinstance(result, int) else 0


def leave(status: int) -> NoReturn:
    """End the process, also where a library's thread is stuck in foreign code and would hold it for ever."""
    if any(thread.name.startswith(ABANDONED_PREFIX) for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _tell(error: Exception, message: str, status: int, *, debug: bool, as_json: bool) -> int:
    if debug:
        traceback.print_exception(error)
    notes = [note for note in getattr(error, "__notes__", ()) if note not in message]
    text = "\n".join([message, *notes])
    sys.stderr.write(f"error: {text}\n")
    if as_json:
        answer = {"error": {"kind": type(error).__name__, "message": text}, "exit_status": status}
        sys.stdout.write(json.dumps(answer) + "\n")
    return status
