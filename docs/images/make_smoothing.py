"""Draws docs/images/smoothing.png: jitter against added lag over strengths of smoothing, for both shipped estimators.

    python docs/images/make_smoothing.py [RECORDING.mcap ...]

The truth is the shipped clip's, and that of scenes of the test pattern whose seeds are not held out for evaluation.
Recordings, made with smooth.strength=0, are measured beside it: how late those are is told against themselves, by
cross-correlation. The numbers go to standard output.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hamba_core.hand import load_generic_hand
from pipeline import hand_stages, load_settings
from pipeline.evaluation.motion import Stretch, added_lag, measure_motion
from pipeline.evaluation.plots import COLOURS, plot
from pipeline.evaluation.scenes import Scene
from pipeline.evaluation.video import stretches_of
from stages.assets import CLIP, CLIP_TRUTH
from stages.packets import Frame, FrameResult
from stages.recording import read_recording
from stages.smoothing import Smoothing, SmoothingSettings
from stages.sources import source_for
from stages.synthetic import ClipTruth, load_truth

STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
DEFAULT = SmoothingSettings().strength
ESTIMATORS = ("hamba-s", "landmarks")
SEEDS = (710_001,)
REST, MOVING = 0.06, 0.25  # m/s
RATE = 30.0
MODEL = load_generic_hand()

Truth = Sequence[tuple[np.ndarray, np.ndarray]]  # of each frame: joints (H, 21, 3) m and (H, 21, 2) px


def clip() -> tuple[list[Frame], Truth]:
    source = source_for(str(CLIP))
    source.open()
    frames = [frame for frame in source.frames() if frame]
    source.close()
    truth = load_truth(CLIP_TRUTH)
    return frames, list(zip(truth.joints, truth.joints_2d, strict=True))


def scene(seed: int) -> tuple[list[Frame], Truth]:
    frames, truths = zip(*Scene(seed, "plain", 10.0, 0).frames(), strict=True)
    return list(frames), [
        (np.array([h.joints for h in hands]), np.array([h.joints_2d for h in hands])) for hands in truths
    ]


def raw_hands(frames: Sequence[Frame], estimator: str) -> list[FrameResult]:
    detect, track, reconstruct = line = hand_stages(load_settings("offline", [f"reconstruct.estimator={estimator}"]))[
        :3
    ]
    for stage in line:
        stage.open()
    results = [reconstruct.process(track.process(detect.process(frame))) for frame in frames]
    for stage in line:
        stage.close()
    return [replace(result, image=None) for result in results]


def smoothed(results: Sequence[FrameResult], strength: float, rate: float, truth: Truth | None) -> list[Stretch]:
    smoothing = Smoothing(SmoothingSettings(strength=strength), MODEL)
    return list(stretches_of([smoothing.process(result) for result in results], rate, _ClipLike.of(truth)))


class _ClipLike:
    """What `stretches_of` reads of a clip's truth."""

    def __init__(self, truth: Truth) -> None:
        self.joints, self.joints_2d = (np.array(part) for part in zip(*truth, strict=True))

    @classmethod
    def of(cls, truth: Truth | None) -> ClipTruth | None:
        return None if truth is None else cls(truth)  # type: ignore[return-value]


def speeds(stretch: Stretch) -> np.ndarray:
    if stretch.truth is None:
        return np.full(len(stretch.joints), np.nan)
    return np.linalg.norm(np.gradient(stretch.truth, 1 / stretch.rate, axis=0), axis=-1).mean(1)


def mpjpe(stretches: Sequence[Stretch]) -> float:
    """Of all frames with truth, wrist on wrist, mm."""
    apart = [(s.joints - s.joints[:, :1]) - (s.truth - s.truth[:, :1]) for s in stretches if s.truth is not None]
    return 1e3 * float(np.linalg.norm(np.concatenate(apart), axis=-1).mean())


def told(name: str, curve: Sequence[tuple[float, float]], extra: Sequence[str] = ()) -> None:
    numbers = (f"{s:g}: {lag:.1f} ms {share:.3f}" for s, (lag, share) in zip(STRENGTHS, curve, strict=True))
    sys.stdout.write(f"{name}  {'; '.join(numbers)}  {' '.join(extra)}\n")
    sys.stdout.flush()


def main(recordings: Sequence[Path]) -> None:
    curves: dict[str, list[tuple[float, float]]] = {}
    for place, load in (("clip", clip), *((f"seed {seed}", lambda seed=seed: scene(seed)) for seed in SEEDS)):
        frames, truth = load()
        for estimator in ESTIMATORS:
            results = raw_hands(frames, estimator)
            raw = smoothed(results, 0, RATE, truth)
            own = {strength: smoothed(results, strength, RATE, truth) for strength in STRENGTHS}
            errors = [f"MPJPE raw {mpjpe(raw):.2f}", *(f"{s:g}: {mpjpe(own[s]) - mpjpe(raw):+.2f}" for s in STRENGTHS)]
            for when, chosen in (("at rest", lambda v: v < REST), ("moving", lambda v: v > MOVING)):
                base = measure_motion(raw, [chosen(speeds(s)) for s in raw])
                true = [replace(s, joints=s.truth) for s in raw if s.truth is not None]
                least = measure_motion(true, [chosen(speeds(s)) for s in true]).jitter / base.jitter
                curve, of_error = [], []
                for strength in STRENGTHS:
                    now = measure_motion(own[strength], [chosen(speeds(s)) for s in own[strength]])
                    curve.append((now.lag - base.lag, now.jitter / base.jitter))
                    of_error.append(f"{strength:g}: {now.jitter_error / base.jitter_error:.3f}")
                name = f"{estimator}, {place}, {when}"
                of_raw = f"raw {base.jitter:.0f} mm/s3, true {least:.3f} of it,"
                told(name, curve, [of_raw, *errors, "jitter of the error", *of_error])
                if when == "moving" or place == "clip":
                    curves[name] = curve
    for path in recordings:
        results = list(read_recording(path).results())
        rate = float(1 / np.median(np.diff([result.frame.pts for result in results])))
        raw = smoothed(results, 0, rate, None)
        curve = []
        for strength in STRENGTHS:
            stretches = smoothed(results, strength, rate, None)
            share = measure_motion(stretches).jitter / measure_motion(raw).jitter
            curve.append((added_lag(stretches, raw), share))
        told(path.stem, curve)

    def draw(axes: Sequence[object]) -> None:
        for axis, estimator in zip(axes, ESTIMATORS, strict=True):
            own = {name: curve for name, curve in curves.items() if name.startswith(estimator)}
            for colour, (name, curve) in zip(COLOURS[1:], own.items(), strict=False):
                lags, shares = zip(*curve, strict=True)
                label = name.removeprefix(f"{estimator}, ")
                axis.plot(lags, shares, "-o", color=colour, markersize=3, label=label)  # type: ignore[attr-defined]
                place = STRENGTHS.index(DEFAULT)
                axis.plot(lags[place], shares[place], "o", color=colour, markersize=9)  # type: ignore[attr-defined]
            axis.axhline(0.25, color=COLOURS[0], linewidth=0.8, linestyle="--")  # type: ignore[attr-defined]
            axis.set(xlabel="ms later than raw", ylabel="jitter, share of raw", ylim=(0, 1), title=estimator)  # type: ignore[attr-defined]
            axis.legend(frameon=False)  # type: ignore[attr-defined]

    (Path(__file__).parent / "smoothing.png").write_bytes(plot("", "", (10, 4.2), 2, draw).png)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
