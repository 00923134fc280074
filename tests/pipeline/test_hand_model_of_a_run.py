"""The hand model of a run: read once, and the same for whoever makes, smooths and keeps hands."""

from collections.abc import Callable
from pathlib import Path

import pytest

import hamba_core.hand
from hamba_core.hand import HandModel
from pipeline import assemble, load_settings
from stages.contract import Sink
from stages.packets import FrameResult, RunInfo
from stages.sources import source_for


class Kept(Sink):
    name = "kept"

    def __init__(self) -> None:
        self.runs: list[RunInfo] = []
        self.vertices: list[int] = []

    def open(self, run: RunInfo) -> None:
        self.runs.append(run)

    def write(self, result: FrameResult) -> None:
        self.vertices += [len(hand.vertices) for hand in result.hands]


@pytest.mark.parametrize("strength", [0, 1])
def test_it_is_read_once_and_every_hand_leaves_with_its_mesh(
    strength: float, write_mano: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reads, read = write_mano(tmp_path / "MANO_RIGHT.pkl"), list[Path](), hamba_core.hand.read_mano

    def counted(where: Path) -> HandModel:
        reads.append(where)
        return read(where)

    monkeypatch.setattr(hamba_core.hand, "read_mano", counted)
    values = {"reconstruct.estimator": "landmarks", "reconstruct.hand_model": str(path), "smooth.strength": strength}
    source, kept = source_for("synthetic:?seconds=0.5&width=320&height=240&fps=20"), Kept()
    assemble(source, load_settings("offline", values=values), sinks=[kept]).run()
    assert reads == [path]
    assert [(run.topology.name, run.topology.vertices) for run in kept.runs] == [("mano", 778)]
    assert set(kept.vertices) == {778}
