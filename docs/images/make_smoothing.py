"""Draws docs/images/smoothing.png: jitter against added lag over strengths of smoothing.

    python docs/images/make_smoothing.py [RECORDING.mcap ...]

The truth is the shipped clip's. Recordings, made with smooth.strength=0, are drawn beside it: how late those are is
told against themselves, by cross-correlation. The numbers go to standard output.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hamba_core.hand import load_generic_hand
from pipeline import hand_stages, load_settings
from pipeline.evaluation.motion import Stretch, added_lag, measure_motion
from pipeline.evaluation.plots import COLOURS, plot
from pipeline.evaluation.video import stretches_of
from stages.assets import CLIP, CLIP_TRUTH
from stages.packets import FrameResult
from stages.recording import read_recording
from stages.smoothing import Smoothing, SmoothingSettings
from stages.sources import source_for
from stages.synthetic import ClipTruth, load_truth

STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
DEFAULT = SmoothingSettings().strength
REST, MOVING = 0.06, 0.25  # m/s


def raw_clip() -> list[FrameResult]:
    settings = load_settings("offline", ["reconstruct.estimator=landmarks"])
    detect, track, reconstruct, *_ = line = hand_stages(settings)
    source = source_for(str(CLIP))
    source.open()
    for stage in line:
        stage.open()
    results = [reconstruct.process(track.process(detect.process(frame))) for frame in source.frames() if frame]
    for stage in line:
        stage.close()
    source.close()
    return results


def smoothed(results: Sequence[FrameResult], strength: float, rate: float, truth: ClipTruth | None) -> list[Stretch]:
    smoothing = Smoothing(SmoothingSettings(strength=strength), load_generic_hand())
    return list(stretches_of([smoothing.process(result) for result in results], rate, truth))


def true_speeds(stretch: Stretch) -> np.ndarray:
    if stretch.truth is None:
        return np.full(len(stretch.joints), np.nan)
    return np.linalg.norm(np.gradient(stretch.truth, 1 / stretch.rate, axis=0), axis=-1).mean(1)


def main(recordings: Sequence[Path]) -> None:
    curves: dict[str, list[tuple[float, float]]] = {}
    clip, truth = raw_clip(), load_truth(CLIP_TRUTH)
    raw = smoothed(clip, 0, 30.0, truth)
    for name, chosen in (("clip, hands at rest", lambda v: v < REST), ("clip, moving hands", lambda v: v > MOVING)):
        base = measure_motion(raw, [chosen(true_speeds(stretch)) for stretch in raw])
        for strength in STRENGTHS:
            stretches = smoothed(clip, strength, 30.0, truth)
            now = measure_motion(stretches, [chosen(true_speeds(stretch)) for stretch in stretches])
            curves.setdefault(name, []).append((now.lag - base.lag, now.jitter / base.jitter))
    for path in recordings:
        results = list(read_recording(path).results())
        rate = float(1 / np.median(np.diff([result.frame.pts for result in results])))
        raw = smoothed(results, 0, rate, None)
        for strength in STRENGTHS:
            stretches = smoothed(results, strength, rate, None)
            share = measure_motion(stretches).jitter / measure_motion(raw).jitter
            curves.setdefault(path.stem.replace("_", " "), []).append((added_lag(stretches, raw), share))

    def draw(axes: Sequence[object]) -> None:
        (axis,) = axes
        for colour, (name, curve) in zip((*COLOURS[1:], *COLOURS), curves.items(), strict=False):
            lags, shares = zip(*curve, strict=True)
            axis.plot(lags, shares, "-o", color=colour, markersize=3, label=name)  # type: ignore[attr-defined]
            place = STRENGTHS.index(DEFAULT)
            axis.plot(lags[place], shares[place], "o", color=colour, markersize=9)  # type: ignore[attr-defined]
        axis.axhline(0.25, color="#8a93a3", linewidth=0.8, linestyle="--")  # type: ignore[attr-defined]
        axis.set(xlabel="ms later than raw", ylabel="jitter, share of raw", ylim=(0, 1))  # type: ignore[attr-defined]
        axis.legend(frameon=False)  # type: ignore[attr-defined]

    (Path(__file__).parent / "smoothing.png").write_bytes(plot("", "", (8, 4.2), 1, draw).png)
    for name, curve in curves.items():
        numbers = (f"{s:g}: {lag:.1f} ms {share:.3f}" for s, (lag, share) in zip(STRENGTHS, curve, strict=True))
        sys.stdout.write(f"{name}  {'; '.join(numbers)}\n")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
