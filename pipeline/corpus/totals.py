"""What has become of a corpus's videos, counted."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from pipeline.corpus.storage import Entry

_NUMBER: Final = re.compile(r"\b\d+(?:[.,]\d+)*\b")
_WORDS: Final = 12


@dataclass
class Totals:
    """What has become of the videos so far."""

    expected: int = 0  # names in the corpus; some may stand for the same video
    videos: int = 0  # begun or ended so far; those named twice count once
    repeated: int = 0  # names that stand for a video that was named before
    skipped: int = 0  # finished by an earlier run
    done: int = 0
    failed: int = 0
    segments: int = 0  # of long videos
    deaths: int = 0  # of workers
    frames: int = 0
    hands: int = 0
    workers: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Failures by kind."""

    @property
    def left(self) -> int:
        """Videos that have not ended, as far as their names have been looked at."""
        return max(0, self.expected - self.repeated - self.skipped - self.done - self.failed)

    def count(self, entry: Entry) -> None:
        """Count a video's entry."""
        self.done += entry.state == "done"
        self.failed += entry.state == "failed"
        self.frames += entry.frames
        self.hands += entry.rows
        if entry.state == "failed":
            self.reasons[kind_of(entry)] += 1


def reason_of(entry: Entry) -> str:
    """Return why a video failed, without its name."""
    return entry.reason.replace(entry.video, "").lstrip(": ")


def kind_of(entry: Entry) -> str:
    """Return a failure's kind: its first words, with N for each number."""
    words = _NUMBER.sub("N", reason_of(entry)).split()
    return " ".join(words[:_WORDS]) + (" …" if len(words) > _WORDS else "") or "unknown"
