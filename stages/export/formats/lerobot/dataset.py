"""Writes a data set in LeRobot's format, version 3.0, with pyarrow and PyAV.

    data/chunk-000/file-000.parquet           a row a frame; a file an episode
    videos/observation.images.camera/...mp4   its pictures, at the data set's rate
    meta/info.json, meta/stats.json, meta/tasks.parquet, meta/episodes/chunk-000/file-000.parquet

A frame of the data set is the recorded frame that is nearest to its time, and its picture and numbers are of that same
frame: the two are never apart.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hamba_core.errors import DependencyError, OutputError, SourceError
from stages.export.formats.lerobot import statistics as stats
from stages.export.formats.lerobot.actions import Actions, read_actions
from stages.export.formats.lerobot.features import Value, features, values
from stages.export.formats.video import chosen_results, over_source
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection
from stages.overlay import VideoFile, choose_encoder
from stages.packets import FrameResult, Image

if TYPE_CHECKING:
    import pyarrow as pa

VERSION: Final = "v3.0"
CAMERA: Final = "observation.images.camera"
TASK: Final = "show hands"
_CHUNK: Final = 1000  # files in a folder
_CODECS: Final = {"libx264": "h264", "libopenh264": "h264", "mpeg4": "mpeg4"}
_OWN: Final[dict[str, str]] = {
    "timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64", "task_index": "int64",
}  # fmt: skip
"""Columns that LeRobot has in every data set."""


def export_lerobot(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write a data set with one episode into the folder. Raises DependencyError, SourceError, OutputError."""
    writer = DatasetWriter(folder, settings)
    writer.add(selection, on_progress)
    return writer.close()


class DatasetWriter:
    """It writes a data set into an empty folder, episode by episode; `close` makes it whole.

    Raises DependencyError where pyarrow is missing.
    """

    def __init__(self, folder: Path, settings: ExportSettings) -> None:
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise DependencyError(
                f"lerobot: expected pyarrow, found: {error}; install it: pip install 'hamba-stream[lerobot]'"
            ) from error
        self._folder, self._settings = folder, settings
        self._encoder = choose_encoder().chosen if settings.video else ""
        self._fps = 0
        self._size: tuple[int, int] | None = None
        self._features: dict[str, dict[str, Any]] = {}
        self._in_world = False
        self._tasks: list[str] = []
        self._episodes: list[dict[str, Any]] = []
        self._statistics: dict[str, list[stats.Statistics]] = {}
        self._frames = 0

    def add(self, selection: Selection, on_progress: Callable[[float], None], task: str | None = None) -> None:
        """Add a recording as an episode. Raises SourceError, OutputError."""
        settings, name = self._settings, selection.recording.path
        if selection.pictures:
            raise SourceError(f"{name}: expected a recording of a video, found one of single pictures")
        actions = None if settings.actions is None else read_actions(settings.actions, settings.action)
        if not self._episodes:
            self._begin(selection, actions)
        elif selection.in_world != self._in_world:
            raise SourceError(
                f"{name}: expected {'a' if self._in_world else 'no'} world frame, as the first recording has, found "
                f"{'one' if selection.in_world else 'none'}"
            )
        number = len(self._episodes)
        columns: dict[str, list[Value]] = {}
        pictures: list[Image] = []
        video: VideoFile | None = None
        span = max(selection.end - selection.start, 1e-9)
        count = 0
        every = max(1, round(span * self._fps / stats.PICTURES))
        try:
            for result in self._at_rate(self._results(selection), selection.start):
                if settings.video:
                    if result.image is None:
                        raise SourceError(f"{name}: expected its pictures, found none")
                    picture = _even(result.image)
                    video = video or self._video(number, picture, name)
                    if (picture.shape[1], picture.shape[0]) != self._size:
                        raise SourceError(
                            f"{name}: expected pictures of {self._size} as the first recording has, found "
                            f"{picture.shape[1]}x{picture.shape[0]}"
                        )
                    video.write(picture, count / self._fps)
                    if count % every == 0:
                        pictures.append(stats.thinned(picture))
                row = values(result, in_world=self._in_world)
                if actions is not None:
                    row["action"] = actions.at(result.frame.pts)
                for key, value in row.items():
                    columns.setdefault(key, []).append(value)
                count += 1
                on_progress(min((result.frame.pts - selection.start) / span, 1.0))
        finally:
            if video is not None:
                video.close()
        if not count:
            raise SourceError(f"{name}: expected frames between start and end, found none")
        self._finish(number, {key: np.array(column) for key, column in columns.items()}, pictures, task)

    def _begin(self, selection: Selection, actions: Actions | None) -> None:
        self._fps = round(self._settings.rate or selection.rate)
        if self._fps < 1:
            raise SourceError(f"{selection.recording.path}: expected at least 1 frame a second; choose a --rate")
        self._in_world = selection.in_world
        self._features = features(in_world=self._in_world)
        if actions is not None:
            self._features["action"] = {
                "dtype": "float32", "shape": [len(actions.names)], "names": list(actions.names),
            }  # fmt: skip

    def _results(self, selection: Selection) -> Iterator[FrameResult]:
        if not self._settings.video:
            return chosen_results(selection)
        source = self._settings.source or selection.recording.run.source.name
        return over_source(selection, source)

    def _at_rate(self, results: Iterator[FrameResult], start: float) -> Iterator[FrameResult]:
        """Yield, for each frame of the data set, the recorded one that is nearest to its time."""
        tick, before = 0, None
        for result in results:
            while before is not None and (due := start + tick / self._fps) <= result.frame.pts:
                yield before if due - before.frame.pts <= result.frame.pts - due else result
                tick += 1
            before = result
        if before is not None and start + tick / self._fps - before.frame.pts <= 0.5 / self._fps:
            yield before

    def _video(self, number: int, picture: Image, name: Path) -> VideoFile:
        height, width = picture.shape[:2]
        if self._size is None:
            self._size = (width, height)
            self._features[CAMERA] = {
                "dtype": "video",
                "shape": [height, width, 3],
                "names": ["height", "width", "channels"],
                "info": {
                    "video.height": height, "video.width": width, "video.codec": _CODECS[self._encoder],
                    "video.pix_fmt": "yuv420p", "video.is_depth_map": False, "video.fps": self._fps,
                    "video.channels": 3, "has_audio": False,
                },
            }  # fmt: skip
        path = self._folder / "videos" / CAMERA / _file(number, "mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        return VideoFile(path, self._encoder, (width, height), self._fps)

    def _finish(self, number: int, columns: dict[str, Any], pictures: list[Image], task: str | None) -> None:
        """Write an episode's table, and note what is known of it."""
        import pyarrow.parquet as pq

        count = len(columns["observation.state"])
        task = task or self._settings.task or TASK
        if task not in self._tasks:
            self._tasks.append(task)
        own = {
            "timestamp": np.arange(count) / self._fps,
            "frame_index": np.arange(count),
            "episode_index": np.full(count, number),
            "index": self._frames + np.arange(count),
            "task_index": np.full(count, self._tasks.index(task)),
        }
        path = self._folder / "data" / _file(number, "parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(_table({**columns, **{key: own[key].astype(_OWN[key]) for key in _OWN}}), path)
        numbers = {key: np.asarray(rows, np.float64).reshape(count, -1) for key, rows in {**columns, **own}.items()}
        described = {key: stats.of_numbers(rows) for key, rows in numbers.items()}
        if pictures:
            described[CAMERA] = stats.of_pictures(pictures)
        for key, value in described.items():
            self._statistics.setdefault(key, []).append(value)
        chunk, file = divmod(number, _CHUNK)
        episode = {
            "episode_index": number, "tasks": [task], "length": count,
            "data/chunk_index": chunk, "data/file_index": file,
            "dataset_from_index": self._frames, "dataset_to_index": self._frames + count,
            "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
        }  # fmt: skip
        if self._settings.video:
            video = {"chunk_index": chunk, "file_index": file, "from_timestamp": 0.0, "to_timestamp": count / self._fps}
            episode |= {f"videos/{CAMERA}/{key}": value for key, value in video.items()}
        for key, found in described.items():
            episode |= {f"stats/{key}/{name}": value.tolist() for name, value in found.items()}
        self._episodes.append(episode)
        self._frames += count

    def close(self) -> list[Path]:
        """Write what is known of all episodes, and return the folder's own files. Raises OutputError without any."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._episodes:
            raise OutputError(f"{self._folder}: expected at least one episode, found none")
        meta = self._folder / "meta"
        (meta / "episodes" / "chunk-000").mkdir(parents=True, exist_ok=True)
        own = {key: {"dtype": dtype, "shape": [1], "names": None} for key, dtype in _OWN.items()}
        info = {
            "codebase_version": VERSION,
            "robot_type": None,
            "total_episodes": len(self._episodes),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": _CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
            if self._settings.video
            else None,
            "features": {**self._features, **own},
        }
        _write_json(meta / "info.json", info)
        together = {key: stats.together(parts) for key, parts in self._statistics.items()}
        _write_json(
            meta / "stats.json",
            {key: {name: value.tolist() for name, value in found.items()} for key, found in together.items()},
        )
        pq.write_table(_tasks(self._tasks), meta / "tasks.parquet")
        pq.write_table(pa.Table.from_pylist(self._episodes), meta / "episodes" / _file(0, "parquet"))
        return [meta / "info.json", meta / "stats.json", meta / "tasks.parquet"]


def _table(columns: dict[str, Any]) -> "pa.Table":
    """Return a table of columns (N,), (N, 1) or (N, n); those of one number a row are plain, others lists."""
    import pyarrow as pa

    arrays = {}
    for key, rows in columns.items():
        width = 1 if rows.ndim == 1 else rows.shape[1]
        flat = pa.array(rows.reshape(-1))
        arrays[key] = flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
    return pa.table(arrays)


def _tasks(tasks: list[str]) -> "pa.Table":
    """Return the tasks as pandas writes a frame whose index is their texts."""
    import pyarrow as pa

    index = "__index_level_0__"
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), index: pa.array(tasks, pa.string())})
    columns = [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64",
         "metadata": None},
        {"name": None, "field_name": index, "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
    ]  # fmt: skip
    pandas = {
        "index_columns": [index],
        "column_indexes": [],
        "columns": columns,
        "creator": {"library": "pyarrow", "version": pa.__version__},
    }
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _even(picture: Image) -> Image:
    """Return the picture without a last row or column that would make its size odd, which video cannot have."""
    height, width = picture.shape[:2]
    return picture[: height // 2 * 2, : width // 2 * 2]


def _file(number: int, ending: str) -> str:
    chunk, file = divmod(number, _CHUNK)
    return f"chunk-{chunk:03d}/file-{file:03d}.{ending}"


def _write_json(path: Path, tree: dict[str, Any]) -> None:
    path.write_text(json.dumps(tree, indent=2, allow_nan=False) + "\n")
