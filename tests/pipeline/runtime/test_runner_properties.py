"""Whatever pipeline is put together and whatever fails in it: books balance, order is kept, the run ends."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings, strategies as st

from pipeline.runtime.clock import MonotonicClock
from pipeline.runtime.runner import RuntimeSettings, SinkPolicy
from stages.contract import EndOfStream

if TYPE_CHECKING:
    from tests.pipeline.conftest import Rig

FRAMES = 40


class FaultError(Exception):
    """What parts raise here."""


@dataclass(frozen=True)
class Plan:
    """A pipeline and what goes wrong in it."""

    mode: str
    stages: int
    sinks: int
    batches: list[int]
    in_flight: list[int]  # batches of each stage under way
    eager: int
    runtime: RuntimeSettings
    capacities: list[int]
    faults: list[tuple[int, int, type[Exception]]]  # part, frame, what it raises
    at_begin: bool  # a stage that has several batches under way raises when it begins, else when it is waited for
    stop_at: int | None


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    stages, sinks = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    parts = st.integers(0, stages + sinks)
    faults = st.tuples(parts, st.integers(0, FRAMES - 1), st.sampled_from([FaultError, EndOfStream]))
    return Plan(
        mode=draw(st.sampled_from(["offline", "live"])),
        stages=stages,
        sinks=sinks,
        batches=draw(st.lists(st.integers(1, 4), max_size=stages)),
        in_flight=draw(st.lists(st.integers(1, 3), max_size=stages)),
        eager=draw(st.integers(0, FRAMES)),
        runtime=RuntimeSettings(
            capacity=draw(st.integers(1, 5)),
            in_flight=draw(st.integers(1, 4)),
            max_consecutive_failures=draw(st.integers(1, 4)),
        ),
        capacities=draw(st.lists(st.integers(1, 5), max_size=sinks)),
        faults=draw(st.lists(faults, max_size=4)),
        at_begin=draw(st.booleans()),
        stop_at=draw(st.one_of(st.none(), st.integers(0, FRAMES))),
    )


@settings(max_examples=150, deadline=None)
@given(plan=plans())
def test_books_balance_and_order_is_kept(rig_type: "type[Rig]", plan: Plan) -> None:
    rig = rig_type(MonotonicClock())
    policies = {f"k{i}": SinkPolicy("latest", capacity) for i, capacity in enumerate(plan.capacities)}
    options: dict[str, Any] = {"mode": plan.mode, "settings": plan.runtime, "sink_policies": policies}
    options |= {"batches": plan.batches, "in_flight": plan.in_flight}
    rig.build(count=FRAMES, eager=plan.eager, stages=plan.stages, sinks=plan.sinks, **options)
    raised: list[Exception] = []
    works = ["begin" if plan.at_begin and stage.in_flight > 1 else "process" for stage in rig.stages]
    calls = ["frame", *works, *["write"] * plan.sinks]
    for number, (part, call) in enumerate(zip(rig.parts, calls, strict=True)):
        faults = {frame: kind for at, frame, kind in plan.faults if at == number}

        def act(index: int, faults: dict[int, type[Exception]] = faults, source: bool = number == 0) -> None:
            if source and index == plan.stop_at:
                rig.runner.stop()
            if index in faults:
                raised.append(faults[index]())
                raise raised[-1]

        part.on(call, act)
    try:
        report = rig.finish()
        rig.check(report)
        rig.check_sinks_were_told(report.state)
        assert rig.error is None or any(rig.error is error for error in raised)
        assert (report.state == "failed") == (rig.error is not None)
        failed = [error for error in raised if isinstance(error, FaultError)]
        ended = any(isinstance(error, EndOfStream) for error in raised)  # what was begun before may not be waited for
        if (plan.mode == "offline" and not (ended and plan.at_begin)) or not failed:
            assert (rig.error is not None) == bool(failed)
        if plan.mode == "offline" and not raised and plan.stop_at is None:
            assert report.frames == FRAMES
            assert all(sink.indices[-1:] == [FRAMES - 1] for sink in rig.sinks)
    finally:
        rig.tear_down()
