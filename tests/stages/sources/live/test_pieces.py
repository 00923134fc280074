"""Streams and files that come in pieces of seconds (HLS), from the disk and from a server on the loopback."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hamba_core.errors import BrokenSourceError
from stages.sources import SourceSettings, source_for

Fixture = Callable[..., Any]
RATE, PIECES = 30, 8


@pytest.fixture
def playlist(make_video: Fixture, tmp_path: Path) -> Path:
    """A playlist of eight pieces of a second."""
    path: Path = make_video(
        tmp_path / "list.m3u8",
        RATE * PIECES,
        size=(64, 48),
        format="hls",
        options={"g": str(RATE), "keyint_min": str(RATE), "sc_threshold": "0"},
        container={"hls_time": "1", "hls_list_size": "0", "hls_segment_filename": str(tmp_path / "piece%d.ts")},
    )
    return path


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """serve(list_) -> the address of the playlist; `list_()` gives its text where it is not the file's."""
    servers = []

    def start(list_: Callable[[], str] | None = None) -> str:
        class Files(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if list_ is None or not self.path.endswith("m3u8"):
                    return super().do_GET()
                text = list_().encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                return None

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(tmp_path)))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/list.m3u8"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("by", ["disk", "server"])
@pytest.mark.parametrize("lost", [None, 0, 3, PIECES - 1])
def test_a_piece_that_is_missing_is_told(
    playlist: Path, serve: Fixture, read: Fixture, by: str, lost: int | None
) -> None:
    if lost is not None:
        (playlist.parent / f"piece{lost}.ts").unlink()
    reading = read(playlist if by == "disk" else serve())
    assert len(reading.frames) == RATE * (PIECES - (lost is not None))
    assert reading.info is not None
    assert not reading.info.live
    if lost is None:
        assert reading.error is None
        assert reading.times == pytest.approx([index / RATE for index in range(RATE * PIECES)], abs=2e-3)
        return
    if lost == 3:  # what comes after keeps its time
        assert isinstance(reading.error, BrokenSourceError)
        assert "no pictures for 1.03 s at 2.97 s" in str(reading.error)
        assert reading.times[-1] == pytest.approx(PIECES - 1 / RATE, abs=2e-3)
        return
    # A second of eight is at the threshold from which on a file is called broken: told it is on either side of it.
    told = (
        isinstance(reading.error, BrokenSourceError)
        or "less than the playlist says" in reading.choice("damaged input").chosen
    )
    assert told


def test_half_a_second_less_than_the_playlist_says_is_told(playlist: Path, read: Fixture) -> None:
    playlist.write_text(playlist.read_text().replace("EXTINF:1.0", "EXTINF:1.1"))
    reading = read(playlist)
    assert reading.error is None
    assert "0.80 s less than the playlist says" in reading.choice("damaged input").chosen


@pytest.mark.slow
def test_a_live_one_is_given_at_its_rate_and_each_picture_once(playlist: Path, serve: Fixture) -> None:
    begin, entries = time.monotonic(), [line for line in playlist.read_text().splitlines() if line.startswith("piece")]

    def now() -> str:
        newest = min(len(entries), 3 + int(time.monotonic() - begin))
        first = max(0, newest - 4)
        listed = "".join(f"#EXTINF:1.0,\n{entry}\n" for entry in entries[first:newest])
        return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n{listed}"

    # A read time-out that is shorter than a piece: the next one may take as long as a piece lasts.
    source = source_for(serve(now), SourceSettings.model_validate({"live": {"read_timeout": 0.5}}))
    info = source.open()
    assert info.live
    given: list[tuple[float, float]] = []
    for frame in source.frames():
        if frame is not None:
            given.append((time.monotonic(), frame.meta.pts))
        if len(given) == RATE * 5:
            break
    status = source.status()
    source.close()
    assert [pts for _, pts in given] == pytest.approx([index / RATE for index in range(RATE * 5)], abs=2e-3)
    assert given[-1][0] - given[0][0] == pytest.approx(5.0, abs=1.0)
    assert sum(late - early > 0.5 for (early, _), (late, _) in pairwise(given)) == 0
    assert status is not None
    assert not status.counts.get("reconnections")
