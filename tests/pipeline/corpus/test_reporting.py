"""The page about a corpus shows the worst hands, the worst first, and tells why videos failed."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus import Entry, Storage, Video, ending_words, write_report
from pipeline.corpus.reporting import folder_of
from pipeline.corpus.storage import table_name
from pipeline.corpus.totals import Totals
from stages.assets import CLIP


def keep(storage: Storage, work: Path, path: Path, mean: float, qualities: list[float | None]) -> None:
    """Keep a video that is done, with a hand in the middle of each of its first frames."""
    joints = (np.linspace(280, 360, 42)).tolist()
    rows = [{"frame": n, "pts": n / 30, "quality": one, "joints_2d": joints} for n, one in enumerate(qualities)]
    schema = pa.schema(
        {"frame": pa.int64(), "pts": pa.float64(), "quality": pa.float64(), "joints_2d": pa.list_(pa.float32())}
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), work / "table")
    video = Video(str(path))
    storage.put(table_name(video.id), work / "table")
    storage.finish(Entry(id=video.id, video=video.name, state="done", frames=3, rows=len(rows), quality=mean))


def test_the_worst_hand_of_each_video_is_shown_the_worst_first(tmp_path: Path) -> None:
    videos, storage = tmp_path / "videos", Storage(str(tmp_path / "out"))
    for name in ("day/one.mp4", "day/two.mp4", "night/gone.mp4", "night/odd.mp4"):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        (videos / name).symlink_to(CLIP)
    keep(storage, tmp_path, videos / "day/one.mp4", 0.5, [0.9, 0.4, None])
    keep(storage, tmp_path, videos / "day/two.mp4", 0.7, [0.8, 0.9, 0.1])
    keep(storage, tmp_path, videos / "night/gone.mp4", 0.2, [0.2])
    (videos / "night/gone.mp4").unlink()
    odd = str(videos / "night/odd.mp4")
    storage.finish(Entry(id="0f", video=odd, state="failed", reason=f"{odd}: expected <b>, found 3"))
    write_report(storage)
    page = (tmp_path / "out" / "report.html").read_text()
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert captions == ["day/two.mp4, frame 2: 0.10", "day/one.mp4, frame 1: 0.40"]
    assert f"<dd>{videos}/</dd>" in page
    assert '<td>night/odd.mp4</td><td>1</td><td class="prose">expected &lt;b&gt;, found 3</td>' in page
    assert '<td class="prose">expected &lt;b&gt;, found N</td>' in page


def test_a_corpus_without_a_finished_video_has_a_page_too(tmp_path: Path) -> None:
    write_report(Storage(str(tmp_path)), 1.0)
    assert "0 done, 0 failed" in (tmp_path / "report.html").read_text()


def test_the_folder_of_videos_is_what_their_names_have_in_common() -> None:
    assert folder_of(["/a/bc/1.mp4", "/a/bd/2.mp4"]) == "/a/"
    assert folder_of(["/a/bc/1.mp4"]) == "/a/bc/"
    assert folder_of(["s3://b/c/x.mp4?region=eu/1", "s3://b/c/xy.mp4?region=eu/1"]) == "s3://b/c/"
    assert folder_of(["s3://b/x.mp4?region=eu/1"]) == "s3://b/"
    assert folder_of(["/a/1.mp4", "b/2.mp4"]) == folder_of([]) == ""


def test_one_is_not_told_as_many() -> None:
    assert ending_words(Totals(frames=1, hands=2000, workers=1)) == "1 frame, 2,000 hands, 1 worker"
    assert ending_words(Totals(frames=10, hands=1, workers=2, deaths=3)) == "10 frames, 1 hand, 2 workers, 3 died"
