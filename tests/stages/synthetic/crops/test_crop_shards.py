"""Shards: whole or absent, read back as rendered, resumed where they stopped."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from hamba_core.errors import OutputError, SourceError
from stages.synthetic.crops import (
    CropSettings,
    CropTruth,
    fill_folder,
    read_shard,
    render_crop,
    shard_path,
    write_shard,
)

SMALL = CropSettings(size=64)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shards") / "crops.npz"
    write_shard(path, range(40, 46), SMALL)
    return path


def test_a_shard_gives_back_what_was_rendered(path: Path) -> None:
    shard = read_shard(path)
    assert len(shard) == 6
    for index, crop in enumerate(shard):
        rendered = render_crop(40 + index, SMALL)
        assert np.abs(crop.image.astype(int) - rendered.image).mean() < 2.5
        for field in fields(CropTruth):
            found, expected = getattr(crop.truth, field.name), getattr(rendered.truth, field.name)
            if isinstance(expected, np.ndarray) and expected.dtype == np.float64:
                np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
            else:
                np.testing.assert_array_equal(found, expected)
                assert type(found) is type(expected)


def test_truth_can_be_read_for_all_crops_at_once(path: Path) -> None:
    arrays = read_shard(path).arrays
    assert arrays["joints"].shape == (6, 21, 3)
    assert arrays["joints"].dtype == np.float32
    assert arrays["hand_pose"].shape == (6, 15, 3, 3)
    assert arrays["seed"].tolist() == list(range(40, 46))


def test_nothing_but_the_shard_is_left(path: Path) -> None:
    assert [file.name for file in path.parent.iterdir()] == ["crops.npz"]


def test_a_folder_is_filled_from_where_it_was_left(tmp_path: Path) -> None:
    first = shard_path(tmp_path, 100)
    write_shard(first, range(100, 102), SMALL)
    before = first.stat().st_mtime_ns
    paths = list(fill_folder(tmp_path, 100, 2, 2, SMALL))
    assert paths == [first, shard_path(tmp_path, 102)]
    assert first.stat().st_mtime_ns == before
    assert read_shard(paths[1]).arrays["seed"].tolist() == [102, 103]


def test_a_shard_of_another_version_is_refused(path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected crops of version crops-0, found crops-\d+"):
        read_shard(path, version="crops-0")


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_what_is_no_shard_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=r"broken\.npz: expected a shard of training crops"):
        read_shard(path)


def test_a_truncated_shard_is_named(path: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.npz"
    cut.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(SourceError, match="expected a shard of training crops"):
        read_shard(cut)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_shard(blocked / "crops.npz", range(1), SMALL)
