"""A recording of the generic hand becomes one of a user's MANO hand, which lies where the recorded one lay."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamba_core.arrays import Int64Array
from hamba_core.errors import NoHandsError, SourceError
from hamba_core.hand import HandModel, Side, exp_so3, load_generic_hand
from stages.conversion import convert_recording
from stages.packets import FrameResult, Hand, HandTopology, Percentiles, RunInfo, Status
from stages.recording import Recorder, read_recording
from tests.hamba_core.hand.made_up_hand import made_up_hand

MakeRun = Callable[..., RunInfo]
MakeResult = Callable[..., FrameResult]

PARAMETERS = ("global_orient", "hand_pose", "betas", "translation")


@pytest.fixture(scope="module")
def mano() -> tuple[HandModel, Int64Array]:
    return made_up_hand()


def posed(index: int, side: Side, track: int, template: Hand) -> Hand:
    """A hand of the generic model that moves and bends, as real hands do."""
    generic, random = load_generic_hand(), np.random.default_rng(track)
    bent = exp_so3(generic.flexion_axes * random.uniform(0, 0.8 + 0.3 * np.sin(index / 3), (15, 1)))
    orient, betas = exp_so3(random.uniform(-1, 1, 3)), random.uniform(-1, 1, 10)
    place = np.array([0.1 * track - 0.15, 0.02 * np.sin(index / 4), 0.5])
    whole = generic.pose(orient, bent, betas, place, side)
    arrays = (orient, bent, betas, place, whole.joints, whole.vertices)
    names = (*PARAMETERS, "joints", "vertices")
    values: dict[str, Any] = {name: array.astype(np.float32) for name, array in zip(names, arrays, strict=True)}
    return replace(template, side=side, track_id=track, quality=0.9, **values)


def record(path: Path, run: RunInfo, results: list[FrameResult]) -> Path:
    with Recorder(path) as recorder:
        recorder.open(run)
        for result in results:
            recorder.write(result)
        nothing = Percentiles(np.nan, np.nan, np.nan)
        recorder.status(Status(run.stream, "ended", "", 1.0, len(results), 0, 30.0, nothing, (), (), {}))
    return path


def test_hands_of_both_sides_lie_where_they_lay(
    mano: tuple[HandModel, Int64Array], make_run: MakeRun, make_result: MakeResult, tmp_path: Path
) -> None:
    model, kept = mano
    template = make_result(0, 1).hands[0]
    results = [
        replace(make_result(i, 0), hands=(posed(i, "right", 1, template), *([posed(i, "left", 2, template)] * (i > 3))))
        for i in range(40)
    ]
    source = record(tmp_path / "hands.mcap", make_run(), results)
    shares: list[float] = []
    residual = convert_recording(source, tmp_path / "mano" / "hands.mcap", model, on_progress=shares.append)
    assert residual.hands == 40 + 36
    assert residual.mean <= residual.p95 <= residual.worst < 0.0025
    assert shares == sorted(shares)
    assert shares[-1] == 1

    made = read_recording(tmp_path / "mano" / "hands.mcap")
    assert made.run.hand_model == "mano"
    assert made.topology.vertices == 778
    for before, after in zip(results, made.results(), strict=True):
        assert after.frame.pts == before.frame.pts
        for old, new in zip(before.hands, after.hands, strict=True):
            assert (new.track_id, new.side, new.score, new.quality) == (old.track_id, old.side, old.score, old.quality)
            assert np.linalg.norm(new.vertices - old.vertices[kept], axis=1).mean() < 0.003
            orient, bent, betas, place = (getattr(new, name).astype(np.float64) for name in PARAMETERS)
            own = model.pose(orient, bent, betas, place, new.side)
            assert new.vertices == pytest.approx(own.vertices, abs=1e-5)
            assert new.joints == pytest.approx(own.joints, abs=1e-5)
            assert new.joints_2d == pytest.approx(after.frame.camera.project(own.joints), abs=0.01)
    assert len({hand.betas.tobytes() for result in made.results() for hand in result.hands if hand.track_id == 1}) == 1
    report = made.last_status()
    assert report is not None
    assert [choice.reason for choice in report.choices if choice.subject == "hand model"] == [
        f"converted from the generic hand, {residual}"
    ]


def test_only_hands_of_the_generic_model_are_converted(
    mano: tuple[HandModel, Int64Array], make_run: MakeRun, make_result: MakeResult, tmp_path: Path
) -> None:
    model, _ = mano
    other = record(tmp_path / "mano.mcap", make_run(topology=HandTopology.of(model)), [make_result(0, 0)])
    with pytest.raises(SourceError, match="expected a recording of the generic hand, found one of mano"):
        convert_recording(other, tmp_path / "out.mcap", model)
    empty = record(tmp_path / "empty.mcap", make_run(), [make_result(i, 0) for i in range(3)])
    with pytest.raises(NoHandsError, match="found none in 3 frames"):
        convert_recording(empty, tmp_path / "out.mcap", model)
    assert not (tmp_path / "out.mcap").exists()
