"""What is in a corpus: videos named one by one, in folders, by patterns, or in a manifest.

A manifest is a table with a video a row: CSV, JSONL or Parquet. Its column `path` holds a path, beside the manifest
where it is relative, or an address (https://, s3://, gs://). `calibration` names a file for the video's camera. Any
column with a dot in its name is a setting of that video, as in `detect.max_hands`.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hamba_core.errors import ConfigurationError, SourceError
from hamba_core.packages import needed_for
from hamba_core.text import address_of
from hamba_core.untrusted import DocumentError, parse_json
from pipeline.settings import Settings, overridden_settings
from stages.sources.address import source_name
from stages.sources.paths import VIDEO_SUFFIXES, is_pattern

_PATHS: Final = ("path", "url", "video")
_TABLES: Final = (".csv", ".jsonl", ".parquet")
_STORES: Final = ("s3://", "gs://", "gcs://", "hdfs://", "abfs://", "abfss://")


@dataclass(frozen=True)
class Video:
    """A video of a corpus, and what is special about it."""

    path: str  # as it is opened
    settings: tuple[tuple[str, str], ...] = ()  # (stage.key, value) beside those of the corpus

    @property
    def name(self) -> str:
        """The path as it may be shown and written: without passwords, and an address where it is not UTF-8."""
        return address_of(str(source_name(self.path)))

    @property
    def id(self) -> str:
        """A name of 20 hexadecimal digits that no other video of the corpus has; equal for equal videos."""
        return sha256(json.dumps([self.path, self.settings]).encode()).hexdigest()[:20]

    @property
    def in_a_store(self) -> bool:
        """Whether it has to be fetched from an object store, which decoders do not read."""
        return self.path.startswith(_STORES)

    def settings_in(self, corpus: Settings) -> Settings:
        """Return the settings of a corpus with the video's own. Raises ConfigurationError."""
        return overridden_settings(corpus, [f"{key}={value}" for key, value in self.settings])


def videos_in(names: Sequence[str]) -> Iterator[Video]:
    """Yield the videos that these names stand for, one by one, in order; those named twice come twice.

    A name is that of a video, a folder (searched to its depths), a pattern, a manifest, or an address; s3://bucket/folder/
    stands for all videos below it. Raises SourceError where nothing is found, ConfigurationError for a manifest that
    cannot be understood, while it is being read.
    """
    for name in names:
        found = False
        for video in _videos_of(name):
            found = True
            yield video
        if not found:
            raise SourceError(f"{source_name(name)}: expected videos ({', '.join(sorted(VIDEO_SUFFIXES))}), found none")


def _videos_of(name: str) -> Iterator[Video]:
    if name.startswith(_STORES):
        yield from _in_store(name)
    elif "://" in name:
        yield Video(name)
    elif Path(name).suffix.lower() in _TABLES:
        yield from _in_manifest(Path(name))
    elif Path(name).is_dir():
        yield from (Video(str(path)) for path in sorted(Path(name).rglob("*")) if _is_video(path))
    elif is_pattern(name) and not Path(name).exists():
        matches = sorted(glob(name, recursive=True))  # noqa: PTH207 - takes absolute ones too
        yield from (Video(match) for match in matches if _is_video(Path(match)))
    else:
        yield Video(name)  # its own task fails where there is no such file, and says so


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _in_store(name: str) -> Iterator[Video]:
    head, mark, query = name.partition("?")
    if not head.endswith("/"):
        yield Video(name)
        return
    with needed_for("object stores"):
        from pyarrow.fs import FileSelector, FileSystem
    system, folder = FileSystem.from_uri(name)
    base = head.removesuffix("/").removesuffix(folder.rstrip("/"))
    for info in system.get_file_info(FileSelector(folder.rstrip("/"), recursive=True)):
        if Path(info.path).suffix.lower() in VIDEO_SUFFIXES:
            yield Video(f"{base}{info.path}{mark}{query}")


def _in_manifest(path: Path) -> Iterator[Video]:
    try:
        for number, row in enumerate(_rows(path), 1):
            yield _video_of(path, number, row)
    except OSError as error:
        raise SourceError(f"{path}: expected a manifest that can be read, found: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error, DocumentError) as error:
        raise ConfigurationError(f"{path}: expected a manifest in {path.suffix[1:].upper()}, found: {error}") from error


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix.lower() == ".parquet":
        with needed_for("a manifest in Parquet"):
            import pyarrow as pa
            import pyarrow.parquet as pq
        try:
            for batch in pq.ParquetFile(path).iter_batches():
                yield from batch.to_pylist()
        except (pa.ArrowException, ValueError, OverflowError) as error:  # also times that no calendar has
            raise ConfigurationError(f"{path}: expected a manifest in Parquet, found: {error}") from error
    elif path.suffix.lower() == ".csv":
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file, strict=True)
    else:
        with path.open(encoding="utf-8-sig") as lines:
            yield from (parse_json(line) for line in lines if line.strip())


def _video_of(manifest: Path, number: int, row: Mapping[str, Any]) -> Video:
    where = f"{manifest}, row {number}"
    if not isinstance(row, Mapping):
        raise ConfigurationError(f"{where}: expected an object with a path, found {row!r:.60}")
    path = next((row[name] for name in _PATHS if row.get(name)), None)
    if path is None:
        columns = ", ".join(map(str, row)) or "nothing"
        raise ConfigurationError(f"{where}: expected one of the columns {', '.join(_PATHS)}, found {columns}")
    if not isinstance(path, str):
        raise ConfigurationError(f"{where}: expected a path, found {path!r:.60}")
    settings: dict[str, str] = {}
    for key, value in row.items():
        if value is None or value == "" or key in _PATHS:
            continue
        if key == "calibration":
            settings["source.lens.calibration"] = _beside(manifest, str(value))
        elif isinstance(key, str) and "." in key:
            settings[key] = str(value)
        # Other columns are the person's own: a label, a duration.
    return Video(_beside(manifest, path), tuple(sorted(settings.items())))


def _beside(manifest: Path, path: str) -> str:
    return path if "://" in path or Path(path).is_absolute() else str(manifest.parent / path)
