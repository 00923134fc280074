"""For the tests of recordings: a short one, and one of several chunks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.recording import mcap_file
from tests.stages.recording.recordings import MakeResult, MakeRun, record


@pytest.fixture
def recorded(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> Path:
    return record(tmp_path / "hands.mcap", make_run(), [make_result(i, hands=i % 3) for i in range(10)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, make_run: MakeRun, make_result: MakeResult) -> Iterator[Path]:
    """A recording of three chunks."""
    path = tmp_path_factory.mktemp("whole") / "a.mcap"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mcap_file, "CHUNK_BYTES", 500_000)
        yield record(path, make_run(), [make_result(i) for i in range(10)])
