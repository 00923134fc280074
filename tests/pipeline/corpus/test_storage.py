"""What stands in a corpus's folder is an entry, or the one error that says which file to remove."""

from pathlib import Path

import msgspec
import pytest

from hamba_core.errors import OutputError
from pipeline.corpus import Entry, Storage
from pipeline.corpus.running import ABOUT, _finished
from pipeline.corpus.storage import About, entry_name

ID = "3f" * 10
WHOLE = msgspec.json.encode(Entry(id=ID, video="a.mp4", state="done", frames=3))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"\xff", WHOLE[:-9], WHOLE.replace(b"a.mp4", b"\xff"), WHOLE.replace(b"a.mp4", b"\\ud800"),
        WHOLE.replace(b"{", b'{"more":' + b"[" * 100_000, 1), WHOLE.replace(b":3", b":" + b"9" * 30),
        WHOLE.replace(b":3", b":-3"), WHOLE.replace(b"3f3f", b"zzzz"), WHOLE.replace(b"3f3f", b"4f4f"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_entry_is_named(content: bytes, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write(entry_name(ID), content)
    for read in (lambda: list(storage.entries()), storage.write_index):
        with pytest.raises(OutputError, match=rf"expected an entry of a video in done/3f/{ID}.json.*remove the file"):
            read()
    about = About("settings", "version")
    storage.write(ABOUT, msgspec.json.encode(about))
    with pytest.raises(OutputError, match="expected an entry"):
        _finished(storage, about, resume=True, retry_failed=True)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 100_000, b'{"settings":1,"version":""}', b'{"settings":"\xff"}']
)
def test_a_file_that_does_not_say_how_a_corpus_is_done_is_named(content: bytes, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write(ABOUT, content)
    with pytest.raises(OutputError, match=f"expected how a corpus is done in {ABOUT}"):
        _finished(storage, About("settings", "version"), resume=True, retry_failed=False)


def test_what_somebody_else_has_put_beside_entries_is_left_out(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write(entry_name(ID), WHOLE)
    for name in ("done/3f/notes.json", "done/list.json", f"done/3f/{ID} (copy).json"):
        storage.write(name, b"mine")
    storage.write(ABOUT, msgspec.json.encode(About("settings", "version")))
    assert storage.finished() == {ID}
    assert [entry.frames for entry in storage.entries()] == [3]
    for again in (False, True):
        finished = _finished(storage, About("settings", "version"), resume=True, retry_failed=again)
        assert finished == {bytes.fromhex(ID)}
