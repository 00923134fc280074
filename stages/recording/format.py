"""What is in a recording besides messages, for the sink that writes it and for the reader."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from hamba_core.errors import PipelineError
from stages.common.plain import plain
from stages.packets import ClockAnchor, RunInfo, SourceInfo, Status

LIBRARY: Final = "hamba-stream"
RECORDING: Final = "hands.mcap"
"""The name of a run's recording."""
RUN: Final = "run.json"
"""Attachment: the `RecordedRun`. Written first."""
REPORT: Final = "report.json"
"""Attachment: the last status. Written last; missing where the run was killed."""
SUMMARY: Final = "hamba"
"""Metadata: the same at a glance, for tools that list metadata."""
_DEEPEST: Final = 64  # levels of settings


@dataclass(frozen=True)
class RecordedRun:
    """What was known of a run before its first frame."""

    stream: str
    source: SourceInfo
    hand_model: str
    estimator: str
    clock: ClockAnchor
    versions: Mapping[str, str]
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, run: RunInfo) -> "RecordedRun":
        """Take everything of a run but the meshes' topology, which is a message of its own."""
        return cls(
            stream=run.stream,
            source=run.source,
            hand_model=run.topology.name,
            estimator=run.estimator,
            clock=run.clock,
            versions=dict(run.versions),
            settings=dict(run.settings),
        )


def run_json(run: RecordedRun) -> bytes:
    """Return a run as JSON. Raises PipelineError where it could not be read back."""
    content = _json(run)
    try:
        run_of_json(content)
    except ValueError as error:
        raise PipelineError(f"record: expected a run that can be read back from {RUN}, found: {error}") from error
    return content


def run_of_json(content: bytes) -> RecordedRun:
    """Return the run of its JSON, its numbers in the ranges that they have on the wire. Raises ValueError."""
    try:
        run = msgspec.json.decode(content, type=RecordedRun)
    except RecursionError as error:
        raise ValueError("values nested without end") from error
    if not _is_shallow(run.settings):  # how deep is too deep for the decoder is another depth in each Python
        raise ValueError(f"values nested more than {_DEEPEST} deep")
    source, clock = run.source, run.clock
    fits = (
        1 <= source.width <= 2**16
        and 1 <= source.height <= 2**16
        and (source.fps is None or 0 < source.fps <= 1e6)
        and (source.frames is None or 0 <= source.frames <= 2**53)
        and 0 <= clock.monotonic_ns < 2**62
        and abs(clock.unix_ns) < 2**62
    )
    if not fits:
        raise ValueError(f"numbers out of their range in {source!s:.200}, {clock}")
    return run


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [item for items in inner for item in items]
        if not level:
            return True
    return False


def status_json(status: Status) -> bytes:
    """Return a status as JSON; null where nothing was measured."""
    return _json(status)


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(plain(value)), indent=2)
