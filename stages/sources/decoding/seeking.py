"""This module goes to a time in a video, so that every picture from then on is the one that reading it all gives."""

from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final

import av

from stages.sources.decoding.decoding import VideoDecoder
from stages.sources.timestamps import CLOSE

if TYPE_CHECKING:
    from av.video.stream import VideoStream

_INDEXED: Final = frozenset(("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"))
"""Containers whose index tells the time of every key frame; others are searched by FFmpeg with guesses."""
_FURTHER_BACK: Final = (0.0, 2.0, 20.0)  # s before the wanted time, tried in turn


def can_seek(decoder: VideoDecoder) -> bool:
    """Return whether a video can be gone into; if not, it has to be read from its beginning."""
    return bool(decoder.tick) and decoder.container.format.name in _INDEXED


def frames_from(decoder: VideoDecoder, stamp: float) -> Generator[av.VideoFrame] | None:
    """Go to a key frame at or before `stamp`, s on the video's own clock, and return the frames from there on.

    Returns None if there is no such key frame from which on decoding is exact; the decoder is then somewhere else.

    Key frames are found by the time of decoding, and shown later than that. Pictures that come after one but are shown
    before it (of an open GOP) may need what was left out. And where pictures are refreshed bit by bit, the first whole
    one comes some frames after the mark. So a key frame is good if a whole picture, its own or a later one, is shown in
    time.
    """
    for back in _FURTHER_BACK if can_seek(decoder) else ():
        try:
            decoder.container.seek(int((stamp - back) / decoder.tick), stream=decoder.stream)
        except av.FFmpegError:
            return None
        decoder.begin_anew()
        frames = _from_key_frame(decoder, stamp)
        if frames is not None:
            return frames
    return None


def _from_key_frame(decoder: VideoDecoder, stamp: float) -> Generator[av.VideoFrame] | None:
    packets = decoder.packets()
    first = next(packets, None)
    if first is None or not first.is_keyframe or first.pts is None:
        return None
    shown = first.pts * decoder.tick
    frames = _decoded(decoder, chain([first], packets))
    for frame in frames:
        if frame.time is None or frame.time > stamp + CLOSE:
            return None
        if frame.time >= shown - CLOSE:
            return _all(frame, frames)
    return None


def _decoded(decoder: VideoDecoder, packets: "Iterable[av.Packet[VideoStream]]") -> Generator[av.VideoFrame]:
    for packet in packets:
        yield from decoder.decode(packet)


def _all(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Generator[av.VideoFrame]:
    yield first
    yield from rest
