"""With `--json`, a command prints one JSON document on standard output, whatever happens."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from stages.common.plain import plain

_REPORT = "hamba_report"


def print_json(tree: Any, indent: int | None = None) -> None:
    """Write a document. NaN and infinity become null, paths become texts."""
    sys.stdout.write(json.dumps(plain(tree), indent=indent, allow_nan=False) + "\n")


def keep_report(error: BaseException, report: Mapping[str, Any]) -> None:
    """Keep a report with this error, for the document that will tell of it."""
    vars(error)[_REPORT] = dict(report)


def print_error(error: Exception, message: str, exit_status: int) -> None:
    """Write what went wrong as a document, with the report that was kept with it."""
    told = {"error": {"kind": type(error).__name__, "message": message}, "exit_status": exit_status}
    print_json({**vars(error).get(_REPORT, {}), **told})
