"""Where results are kept: a folder on this machine, or in an object store, through PyArrow.

    hands/part=3f/<id>.parquet       the hands of a video, written before what follows
    recordings/3f/<id>.mcap          where recordings are asked for
    segments/3f/<id>/2-of-5.*        of a long video that is not finished: the hands of a part, and its entry after them
    done/3f/<id>.json                the entry of a video: that it is there says that the video is finished
    index.parquet                    all entries as one table, made anew at the end of each run

An id's first two digits name the part, so that no folder grows beyond a 256th of the corpus. A file is there as a whole
or not at all. Doing a video again replaces its files by equal ones, so that nothing is ever there twice.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import msgspec

from hamba_core.errors import OutputError
from hamba_core.packages import needed_for
from hamba_core.text import readable
from hamba_core.untrusted import DocumentError, decode_json
from stages.sources.address import source_name

_ID: Final = re.compile("(?:[0-9a-f]{2})+")
_BLOCK: Final = 1 << 22  # bytes


T = TypeVar("T")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a video."""

    id: str
    video: str  # its name
    state: str  # "done" or "failed"
    reason: str = ""  # why it failed, or what is to be known
    attempts: int = 1
    frames: int = 0
    frames_with_hands: int = 0
    rows: int = 0  # hands in the table
    tracks: int = 0
    segments: int = 1  # that it was cut into
    quality: float | None = None  # mean of the hands' quality, where it is known
    seconds: float = 0.0  # of work on it
    settings: str = ""  # hash of all settings that it was done with
    version: str = ""  # of hamba-stream

    def __post_init__(self) -> None:
        """Keep the reason as text that can be written: names of files in it need not be UTF-8."""
        msgspec.structs.force_setattr(self, "reason", readable(self.reason))


class About(msgspec.Struct, frozen=True):
    """How a corpus is done."""

    settings: str  # hash of all settings that change hands
    version: str  # of hamba-stream


class Storage:
    """The files of a corpus, by names such as `done/3f/...`. Raises OutputError where the place cannot be used."""

    def __init__(self, place: str) -> None:
        self.place = str(source_name(place))  # as it may be shown: an address can hold a key
        with needed_for("a corpus's results"):
            from pyarrow import ArrowException
            from pyarrow.fs import FileSystem, LocalFileSystem
        try:
            if "://" in place:
                self.system, root = FileSystem.from_uri(place)
            else:
                self.system, root = LocalFileSystem(), Path(place).resolve().as_posix()
        except (ArrowException, OSError) as error:
            raise OutputError(
                f"{self.place}: expected a folder or an address as s3://bucket/folder, found: {error}"
            ) from error
        self.root = root.rstrip("/")
        self._local = isinstance(self.system, LocalFileSystem)

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        with self._written(name) as stream:
            stream.write(content)

    def put(self, name: str, file: Path) -> None:
        """Copy a file of this machine there."""
        with file.open("rb") as source, self._written(name) as stream:
            while block := source.read(_BLOCK):
                stream.write(block)

    @contextmanager
    def _written(self, name: str) -> Iterator[Any]:
        """Give a stream to write a file with. An object appears when it is closed; a file is moved into its place."""
        path = f"{self.root}/{name}"
        written = f"{path}.{uuid4().hex}.part" if self._local else path
        try:
            if self._local:
                self.system.create_dir(path.rpartition("/")[0], recursive=True)
            with self.system.open_output_stream(written) as stream:
                yield stream
            if self._local:
                self.system.move(written, path)
        except OSError as error:
            raise OutputError(f"{self.place}: expected to write {name}, found: {error}") from error

    def names(self, folder: str, suffix: str) -> Iterator[str]:
        """Yield the names of the files in a folder and below that end so; half-written ones do not."""
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(f"{self.root}/{folder}", recursive=True, allow_not_found=True)
        try:
            infos = self.system.get_file_info(selector)
        except OSError as error:
            raise OutputError(f"{self.place}: expected to list {folder}, found: {error}") from error
        for info in infos:
            if info.type == FileType.File and info.path.endswith(suffix):
                yield info.path.removeprefix(f"{self.root}/")

    def has(self, name: str) -> bool:
        """Return whether a file is there."""
        from pyarrow.fs import FileType

        try:
            found: bool = self.system.get_file_info(f"{self.root}/{name}").type == FileType.File
        except OSError as error:
            raise OutputError(f"{self.place}: expected to look for {name}, found: {error}") from error
        return found

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        try:
            with self.system.open_input_stream(f"{self.root}/{name}") as stream:
                content: bytes = stream.read()
        except OSError as error:
            raise OutputError(f"{self.place}: expected to read {name}, found: {error}") from error
        return content

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self.has(name):
            self.system.delete_file(f"{self.root}/{name}")

    def fetch(self, name: str, file: Path) -> None:
        """Copy a file to this machine."""
        try:
            with self.system.open_input_stream(f"{self.root}/{name}") as stream, file.open("wb") as copy:
                while block := stream.read(_BLOCK):
                    copy.write(block)
        except OSError as error:
            raise OutputError(f"{self.place}: expected to read {name}, found: {error}") from error

    def remove_folder(self, name: str) -> None:
        """Remove a folder with all that is in it, if it is there."""
        from pyarrow.fs import FileType

        path = f"{self.root}/{name}"
        with suppress(FileNotFoundError):  # another one removes it too
            if self.system.get_file_info(path).type == FileType.Directory:
                self.system.delete_dir(path)

    def finish(self, entry: Entry) -> None:
        """Write that a video is finished, after its results."""
        self.write(entry_name(entry.id), msgspec.json.encode(entry))

    def finished(self) -> set[str]:
        """Return the ids of the videos that are finished."""
        return {_id_in(name) for name in self._entry_names()}

    def _entry_names(self) -> list[str]:
        """Return the names of entries; what somebody else has put beside them is left out."""
        return sorted(name for name in self.names("done", ".json") if _ID.fullmatch(_id_in(name)))

    def entries(self) -> Iterator[Entry]:
        """Yield the entry of every finished video. Raises OutputError for one that is none."""
        for name in self._entry_names():
            entry = self.read_json(name, Entry, "an entry of a video")
            numbers = [value for value in msgspec.structs.astuple(entry) if type(value) is int]
            if entry.id != _id_in(name) or not all(0 <= number < 2**63 for number in numbers):
                raise _no_entry(self.place, name, "an entry of a video", f"another, {entry!s:.200}")
            yield entry

    def read_json(self, name: str, kind: type[T], what: str) -> T:
        """Return what a file of JSON holds. Raises OutputError, which says `what` was expected."""
        try:
            return decode_json(self.read(name), kind)
        except DocumentError as error:
            raise _no_entry(self.place, name, what, str(error)) from error

    def write_index(self) -> int:
        """Make index.parquet anew from all entries, and return how many there are."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, list[Any]] = {name: [] for name in Entry.__struct_fields__}
        for entry in self.entries():
            for name, values in columns.items():
                values.append(getattr(entry, name))
        kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
        schema = pa.schema(
            [(field.name, kinds.get(field.type, pa.float64())) for field in msgspec.structs.fields(Entry)]
        )
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns, schema=schema), sink, compression="zstd")
        self.write("index.parquet", sink.getvalue().to_pybytes())
        return len(columns["id"])


def _id_in(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")


def _no_entry(place: str, name: str, what: str, found: str) -> OutputError:
    return OutputError(
        f"{place}: expected {what} in {name}, found: {found}; remove the file, and what it stands for is done again"
    )


def entry_name(video_id: str) -> str:
    """Return the name of a video's entry."""
    return f"done/{video_id[:2]}/{video_id}.json"


def segments_folder(video_id: str) -> str:
    """Return the folder of what is finished of a video that is done in segments."""
    return f"segments/{video_id[:2]}/{video_id}"


def table_name(video_id: str) -> str:
    """Return the name of a video's table of hands."""
    return f"hands/part={video_id[:2]}/{video_id}.parquet"


def recording_name(video_id: str) -> str:
    """Return the name of a video's recording."""
    return f"recordings/{video_id[:2]}/{video_id}.mcap"
