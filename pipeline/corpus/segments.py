"""Long videos are cut into segments, so that their work is shared and the loss of a worker costs little.

A segment begins some time before its cut, at a key frame, so that what the stages remember (crops that follow a hand,
tracks, filters) is as it would be in the uncut run by the time that its own frames come. Those before are thrown away,
but for telling which of its tracks are which of the segment before.
"""

import msgspec

from pipeline.corpus.settings import CorpusSettings
from pipeline.corpus.storage import Entry
from pipeline.settings import Settings


class Segment(msgspec.Struct, frozen=True):
    """A part of a video that is done by itself: its frames from `start` to before `end`, s; None is the video's own."""

    number: int  # from 0
    count: int  # segments of its video
    start: float | None = None
    end: float | None = None

    @property
    def name(self) -> str:
        """As in 2-of-5."""
        return f"{self.number + 1}-of-{self.count}"


class SegmentEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a segment."""

    segment: Segment
    entry: Entry  # of its own frames; tracks and quality are not known yet
    before: int = 0  # frames that it gave before its start
    hands: bool = False  # whether there is a table of its hands


class Cut(msgspec.Struct, frozen=True):
    """That a video is done in segments."""

    count: int
    left: tuple[Segment, ...]  # those that no earlier run has finished


def segments_of(length: float, seconds: float) -> list[Segment]:
    """Return the equal segments of a video of this `length`, s, each of about so many `seconds`."""
    count = max(1, round(length / seconds)) if seconds else 1
    bounds = [None, *(length * number / count for number in range(1, count)), None]
    return [Segment(number, count, bounds[number], bounds[number + 1]) for number in range(count)]


def may_be_cut(settings: Settings, corpus: CorpusSettings) -> bool:
    """Return whether videos with these settings may be cut.

    A recording is one file, and a detector that looks at every third frame counts from the first.
    """
    source = settings.source
    return bool(
        corpus.segment
        and not corpus.recordings
        and settings.detect.every == 1
        and source.start is None
        and source.end is None
    )
