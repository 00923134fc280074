"""A file is read as what it is itself, and never as a list of other files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hamba_core.errors import SourceError
from stages.sources import source_for

LISTS = {
    "concat.mp4": "ffconcat version 1.0\nfile other.mp4\n",
    "concat.txt": "ffconcat version 1.0\nfile other.mp4\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
    "dash.mp4": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' profiles='a' type='static'></MPD>",
    "session.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5000 RTP/AVP 26\n",
    "subtitles.mp4": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n"
    "timestamp: 00:00:01:000, filepos: 0\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_text_that_lists_other_files_is_a_text(name: str, tmp_path: Path, make_video: Callable[..., Any]) -> None:
    make_video(tmp_path / "other.mp4", 2)
    (tmp_path / "subtitles.sub").write_bytes(bytes(100))
    (tmp_path / name).write_text(LISTS[name])
    with pytest.raises(SourceError, match="found"):
        source_for(str(tmp_path / name)).open()


def test_signs_in_a_name_are_no_pattern_of_other_names(tmp_path: Path, make_video: Callable[..., Any]) -> None:
    (tmp_path / "1.tga").write_bytes(bytes(100))
    (tmp_path / "%d.tga").write_bytes(b"\0\0\2" + bytes(9) + b"\x10\0\x10\0\x18\0" + bytes(16 * 16 * 3))
    source = source_for(str(tmp_path / "%d.tga"))
    info = source.open()
    assert (info.width, info.height) == (16, 16)
    source.close()
