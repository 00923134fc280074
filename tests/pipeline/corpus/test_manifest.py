"""What names and manifests stand for."""

import json
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hamba_core.errors import ConfigurationError, SourceError
from pipeline.corpus import Entry, Video, videos_in

ROWS = [
    {"path": "a.mp4", "calibration": "cam.yaml", "detect.max_hands": "4", "label": "kitchen"},
    {"path": "https://example.org/b.mp4", "calibration": "", "detect.max_hands": "", "label": ""},
    {"path": "s3://bucket/c.mp4", "calibration": "", "detect.max_hands": "1", "label": ""},
]


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def manifest(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"list.{request.param}"
    if request.param == "csv":
        lines = [",".join(ROWS[0]), *(",".join(row.values()) for row in ROWS)]
        path.write_text("\n".join(lines))
    elif request.param == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def test_a_manifest_names_videos_beside_it_with_settings_of_their_own(manifest: Path) -> None:
    folder = manifest.parent
    assert list(videos_in([str(manifest)])) == [
        Video(
            str(folder / "a.mp4"),
            (("detect.max_hands", "4"), ("source.lens.calibration", str(folder / "cam.yaml"))),
        ),
        Video("https://example.org/b.mp4"),
        Video("s3://bucket/c.mp4", (("detect.max_hands", "1"),)),
    ]


def test_folders_are_searched_to_their_depths_and_patterns_are_expanded(tmp_path: Path) -> None:
    for name in ("b.mp4", "in/a.mkv", "in/deep/c.MOV", "in/notes.txt", ".hidden.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [Path(video.path).relative_to(tmp_path).as_posix() for video in videos_in([str(tmp_path)])]
    assert found == ["b.mp4", "in/a.mkv", "in/deep/c.MOV"]
    assert [Path(video.path).name for video in videos_in([f"{tmp_path}/**/*.mp4"])] == ["b.mp4"]
    with pytest.raises(SourceError, match=r"expected videos .*found none"):
        list(videos_in([str(tmp_path / "in" / "*.avi")]))


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.csv", "file\nx.mp4\n", "expected one of the columns path, url, video, found file"),
        ("a.csv", "path\n\n", "expected videos"),
        ("a.jsonl", '{"path": "x.mp4"}\n{"path": \n', "expected a manifest in JSONL"),
        ("a.jsonl", "[" * 100_000, "expected a manifest in JSONL"),
        ("a.jsonl", '{"path": ' + "9" * 5000 + "}\n", "expected a manifest in JSONL"),
        ("a.jsonl", '{"path": "x\\u0000.mp4"}\n', "expected a manifest in JSONL"),
        ("a.jsonl", '{"path": "x\\ud800.mp4"}\n', "expected a manifest in JSONL"),
        ("a.jsonl", '{"path": ["x.mp4"]}\n', r"row 1: expected a path, found \['x.mp4'\]"),
        ("a.jsonl", '["x.mp4"]\n', "row 1: expected an object with a path"),
        ("a.parquet", "no parquet", "expected a manifest in Parquet"),
    ],
)
def test_a_manifest_that_cannot_be_understood_is_an_error(name: str, content: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises((ConfigurationError, SourceError), match=what):
        list(videos_in([str(path)]))


def test_a_file_whose_name_is_not_utf8_has_a_name_that_can_be_written(tmp_path: Path) -> None:
    try:
        (tmp_path / "caf\udce9.mp4").touch()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    (video,) = videos_in([str(tmp_path)])
    assert Path(video.path).is_file()
    assert video.name == f"file://{tmp_path}/caf%E9.mp4"
    entry = Entry(id=video.id, video=video.name, state="failed", reason=f"{video.path}: expected a video")
    again = msgspec.json.decode(msgspec.json.encode(entry), type=Entry)
    assert again == entry
    assert again.reason == f"{tmp_path}/caf\\xe9.mp4: expected a video"


def test_passwords_are_in_no_name_and_equal_videos_have_equal_ids() -> None:
    video = Video("https://user:SeKret@example.org/a.mp4")
    assert "SeKret" not in video.name
    assert video.id == Video("https://user:SeKret@example.org/a.mp4").id
    assert video.id != Video(video.path, (("detect.max_hands", "1"),)).id
