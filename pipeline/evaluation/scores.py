"""Scores are a tree of numbers from observations: by method, by group, at rest and moving, in types that JSON takes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from math import isfinite
from typing import Any, Final

import numpy as np

from hamba_core.metrics import pck_curve
from pipeline.evaluation.groups import GROUPS
from pipeline.evaluation.motion import SHORTEST, Stretch, added_lag, measure_motion
from pipeline.evaluation.observations import Observation, joint_errors
from pipeline.evaluation.scenes import FRAME_RATE, Scene
from pipeline.evaluation.synthetic import RAW, SMOOTHED, Measured

Tree = dict[str, Any]

MUST_BE_FOUND: Final = 0.4
"""Of a hand: with less of it in view, it is neither missed nor counted as found."""
REST, MOVING = 0.06, 0.25  # m/s, mean over joints


def score(measured: Measured, scenes: Sequence[Scene]) -> Tree:
    """Return all numbers of a run, in mm, px, ms and percent; null where nothing was measured."""
    methods = measured.methods
    stretches = {method: list(_stretches(measured.observations, method)) for method in methods}
    tree = {
        "kind": "synthetic",
        "estimator": measured.estimator,
        "methods": list(methods),
        "scenes": [{"seed": s.seed, "view": s.view, "frames": s.frames_expected} for s in scenes],
        "frames": measured.frames,
        "choices": [asdict(choice) for choice in measured.choices],
        "hands": {method: _by_group(measured.observations, method) for method in methods},
        "precision": {
            method: 100 * (1 - measured.false_hands[method] / max(measured.found_hands[method], 1))
            for method in methods
        },
        "motion": {method: _motion(stretches[method]) for method in methods},
        "joint_errors": {method: _by_joint(measured.observations, method) for method in methods},
        "pck": {method: _pck(measured.observations, method) for method in methods},
    }
    if SMOOTHED in methods:
        own, reference = _common(stretches[SMOOTHED], stretches[RAW])
        tree["smoothing_lag"] = added_lag(own, reference)
    result: Tree = plain(tree)
    return result


def plain(value: Any) -> Any:
    """Return the same in JSON's types, with null for what is not a finite number."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not isfinite(value) else value


def _by_group(observations: Sequence[Observation], method: str) -> Tree:
    """Return each group's measures."""
    switches = _identity_switches(observations, method)
    tree: Tree = {}
    for group in GROUPS:
        members = [(o, switched) for o, switched in zip(observations, switches, strict=True) if group in o.groups]
        tree[group] = _measures(members, method)
    return tree


def _measures(members: Sequence[tuple[Observation, bool]], method: str) -> Tree:
    """Return the measures of a group's hands. Errors are of hands that the detector saw, so that methods compare."""
    needed = [o for o, _ in members if o.visibility >= MUST_BE_FOUND]
    found = [o for o in needed if method in o.found]
    tree: Tree = {
        "hands": len(needed),
        "recall": _percent(len(found), len(needed)),
        "side": _percent(sum(o.found[method].side == o.side for o in found), len(found)),
        "switches": sum(switched for _, switched in members),
    }
    errors: defaultdict[str, list[float]] = defaultdict(list)
    for observation in found:
        if observation.found[method].seen:
            for name, value in observation.errors[method].items():
                errors[name].append(value)
    tree["measured"] = len(errors["mpjpe"])
    for name, values in errors.items():
        tree[name] = float(np.mean(values)) if values else None
    if errors["pa_mpjpe"]:
        tree["pa_mpjpe_median"] = float(np.median(errors["pa_mpjpe"]))
        tree["pa_mpjpe_p95"] = float(np.percentile(errors["pa_mpjpe"], 95))
    return tree


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _identity_switches(observations: Sequence[Observation], method: str) -> list[bool]:
    """Return for each observation whether its hand has another track id there than when it was last found."""
    last: dict[tuple[str, int], int] = {}
    switches = []
    for o in observations:
        key, found = (o.scene, o.hand), o.found.get(method)
        switches.append(found is not None and last.get(key, found.track_id) != found.track_id)
        if found is not None:
            last[key] = found.track_id
    return switches


def _stretches(observations: Sequence[Observation], method: str) -> Iterator[Stretch]:
    """Yield the stretches in which a method kept a hand without a gap, and long enough."""

    def key(o: Observation) -> tuple[str, int]:
        return o.scene, o.hand

    for _, of_hand in groupby(sorted(observations, key=lambda o: (*key(o), o.frame)), key):
        run: list[Observation] = []
        for o in [*of_hand, None]:
            found = None if o is None else o.found.get(method)
            if run and (
                o is None
                or found is None
                or o.frame != run[-1].frame + 1
                or found.track_id != run[-1].found[method].track_id
                or found.side != run[-1].found[method].side
            ):
                if len(run) >= SHORTEST:
                    yield _stretch(run, method)
                run = []
            if o is not None and found is not None:
                run.append(o)


def _stretch(run: Sequence[Observation], method: str) -> Stretch:
    joints = np.array([o.found[method].joints for o in run], np.float64)
    return Stretch(
        rate=FRAME_RATE,
        joints=joints,
        joints_2d=np.array([o.found[method].joints_2d for o in run], np.float64),
        centroid=joints.mean(1),
        truth=np.array([o.joints for o in run], np.float64),
        placed=run[0].found[method].placed,
        speed=np.array([o.speed for o in run]),
        name=(run[0].scene, run[0].hand, run[0].frame, len(run)),
    )


def _motion(stretches: Sequence[Stretch]) -> Tree:
    speeds = [np.asarray(stretch.speed, np.float64) for stretch in stretches]
    rest, moving = [speed < REST for speed in speeds], [speed > MOVING for speed in speeds]
    return {
        "all": asdict(measure_motion(stretches)),
        "at rest": asdict(measure_motion(stretches, rest)),
        "moving": asdict(measure_motion(stretches, moving)),
    }


def _common(own: Sequence[Stretch], reference: Sequence[Stretch]) -> tuple[list[Stretch], list[Stretch]]:
    """Return the stretches that two methods share frame by frame."""
    references = {stretch.name: stretch for stretch in reference}
    shared = [stretch for stretch in own if stretch.name in references]
    return shared, [references[stretch.name] for stretch in shared]


def _by_joint(observations: Sequence[Observation], method: str) -> Tree:
    result = {}
    for name, aligned in (("rooted", False), ("aligned", True)):
        errors = joint_errors(observations, method, aligned=aligned)
        result[name] = 1e3 * errors.mean(0) if len(errors) else None
    return result


def _pck(observations: Sequence[Observation], method: str) -> Tree:
    """Return curves of correct joints from 0 to 50 mm, wrist on wrist and aligned."""
    result = {}
    for name, aligned in (("rooted", False), ("aligned", True)):
        errors = joint_errors(observations, method, aligned=aligned)
        if len(errors):
            curve = pck_curve(errors)
            result[name] = {"share": curve.share, "auc": curve.auc}
    return result
