"""Fit the weights of the evidence on synthetic pictures, and plot what they are worth on others.

    python -m stages.reconstruction.visibility.make.calibration --work FOLDER [--crops 1500] [--scenes 14]
        [--shards FOLDER]

It renders training crops and scenes of the test pattern, has the shipped detector and hamba-s find the hands in them,
and writes `weights.txt` and `docs/images/visibility.png`. What was gathered is kept in FOLDER, so that a second call is
quick. Crops that are in shards (`stages.synthetic.crops.fill_folder`) need not be rendered. The plot and its numbers
are of seeds that nothing was fitted to.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from scipy.optimize import minimize

from hamba_core.arrays import Array, BoolArray
from hamba_core.hand import load_generic_hand
from hamba_core.view import Intrinsics
from stages.common.proximity import joint_distance
from stages.common.terminal import Terminal
from stages.detection import DetectionSettings, HandCrop, HandDetection, HandNetwork, crop_around, look_at
from stages.packets import Detections, Frame, FrameMeta, Hand
from stages.reconstruction import Reconstruction, ReconstructionSettings
from stages.reconstruction.visibility.evidence import NAMES, evidence
from stages.reconstruction.visibility.visibility import WEIGHTS, Weights, shipped_weights
from stages.synthetic import HELD_OUT_SEEDS, SyntheticSettings, SyntheticSource
from stages.synthetic.crops import Sight, TrainingCrop, read_shard, render_crop, shard_path
from stages.tracking import HandTracking, TrackingSettings

PICTURE: Final = Path(__file__).parents[4] / "docs" / "images" / "visibility.png"
CROPS, CROPS_HELD_OUT = 1_210_000, 905_000  # first seeds
SCENES, SCENES_HELD_OUT = 3000, HELD_OUT_SEEDS[60]
RATE, SECONDS = 5.0, 10.0  # of scenes: pictures that differ, and tracks that last
_RIDGE: Final = 3.0
_SAME_HAND: Final = 0.5  # of its size, by which a hand may be off and still is the true one


class Gathered(NamedTuple):
    """What speaks for each joint, and whether it is in sight."""

    evidence: Array  # (N, 21, len(NAMES))
    seen: BoolArray  # (N, 21)


def crops(first: int, count: int, shards: Path | None) -> Iterator[tuple[Array, BoolArray]]:
    """Yield evidence and truth of the hand in each training crop."""
    network = HandNetwork()
    with _reconstruction() as reconstruction:
        for number, crop in enumerate(islice(_rendered(first, shards), count)):
            size = len(crop.image)
            (glance,) = look_at(network, crop.image, [HandCrop(size / 2, size / 2, size, 0.0)])
            (look,) = look_at(network, crop.image, [crop_around(glance.joints_2d)], maps=True)
            box = replace(look.box(), side="right", track_id=number)
            camera = Intrinsics(*crop.truth.camera.tolist())
            meta = FrameMeta("hands", number, float(number), number, size, size, camera)
            packet = Detections(Frame(meta, crop.image), (box,))
            for hand in reconstruction.process(packet).hands:
                yield _evidence([hand], packet)[0], crop.truth.sight == Sight.VISIBLE


def _rendered(first: int, shards: Path | None) -> Iterator[TrainingCrop]:
    seed = first
    while True:
        if shards is not None and shard_path(shards, seed).exists():
            shard = read_shard(shard_path(shards, seed))
            yield from shard
            seed += len(shard)
        else:
            yield render_crop(seed)
            seed += 1


def scenes(first: int, count: int) -> Iterator[tuple[Array, BoolArray]]:
    """Yield evidence and truth of every hand that is found in scenes of the test pattern."""
    with _reconstruction() as reconstruction:
        for seed in range(first, first + count):
            source = SyntheticSource(SyntheticSettings(seed=seed, fps=RATE, seconds=SECONDS))
            source.open()
            detection = HandDetection(DetectionSettings(), maps=True)
            with detection, HandTracking(TrackingSettings(), max_hands=2) as tracking:
                for frame in source.frames():
                    if frame is None:
                        continue
                    packet = tracking.process(detection.process(frame))
                    hands = reconstruction.process(packet).hands
                    truth = source.truth(frame.meta.pts)
                    for hand, given in zip(hands, _evidence(hands, packet) if hands else (), strict=True):
                        off = [joint_distance(hand.joints_2d.astype(np.float64), true.joints_2d) for true in truth]
                        if min(off) < _SAME_HAND:
                            yield given, truth[int(np.argmin(off))].visible_joints


def _reconstruction() -> Reconstruction:
    return Reconstruction(ReconstructionSettings(estimator="hamba-s"), load_generic_hand(), meshes=False)


def _evidence(hands: Sequence[Hand], packet: Detections) -> Array:
    boxes = {box.track_id: box for box in packet.boxes}
    return evidence(hands, [boxes.get(hand.track_id) for hand in hands], packet.frame.meta, packet.frame.image)


def gathered(path: Path, rows: Iterator[tuple[Array, BoolArray]]) -> Gathered:
    """Return what is in the file, or else gather it and write the file."""
    if not path.exists():
        found = list(rows)
        np.savez(path, evidence=np.array([row[0] for row in found]), seen=np.array([row[1] for row in found]))
    with np.load(path) as data:
        return Gathered(data["evidence"], data["seen"])


def fitted(parts: Sequence[Gathered]) -> Weights:
    """Return the weights under which the truth is likeliest; each part counts the same, however many hands it has."""
    X = np.concatenate([_design(part.evidence) for part in parts])
    seen = np.concatenate([part.seen.ravel() for part in parts]).astype(np.float64)
    share = np.concatenate([np.full(part.seen.size, len(seen) / len(parts) / part.seen.size) for part in parts])

    def cost(b: Array) -> tuple[float, Array]:
        z = X @ b
        loss = (share * (np.logaddexp(0, z) - seen * z)).sum() + _RIDGE / 2 * (b**2).sum()
        return float(loss), np.asarray(X.T @ (share * (1 / (1 + np.exp(-z)) - seen)) + _RIDGE * b)

    found = minimize(cost, np.zeros(X.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    return Weights(found.x[: len(NAMES)], found.x[len(NAMES) :])


def _design(given: Array) -> Array:
    constants = np.broadcast_to(np.eye(21), (len(given), 21, 21))
    return np.concatenate([given, constants], 2).reshape(-1, given.shape[2] + 21)


def brier(likely: Array, seen: BoolArray) -> tuple[float, float]:
    """Return the mean squared error of chances, and that of the mean chance for all."""
    return float(((likely - seen) ** 2).mean()), float(seen.mean() * (1 - seen.mean()))


def plot(parts: dict[str, Gathered], weights: Weights, path: Path) -> None:
    """Write the reliability plot: of joints that are said to be in sight with so much chance, the share that is."""
    from matplotlib import pyplot as plt

    figure, (ax, counts) = plt.subplots(
        2, 1, figsize=(5.6, 6.4), height_ratios=(3, 1), sharex=True, layout="constrained"
    )
    ax.plot([0, 1], [0, 1], color="#b8bcc4", linewidth=1)
    edges = np.linspace(0, 1, 11)
    for number, ((name, part), colour) in enumerate(zip(parts.items(), ("#d1495b", "#00798c"), strict=True)):
        likely = weights.likely(part.evidence)
        score, of_mean = brier(likely, part.seen)
        bins = np.clip(np.digitize(likely.ravel(), edges) - 1, 0, 9)
        there = [k for k in range(10) if (bins == k).sum() >= 20]
        x = np.array([likely.ravel()[bins == k].mean() for k in there])
        y = np.array([part.seen.ravel()[bins == k].mean() for k in there])
        n = np.array([(bins == k).sum() for k in there])
        label = f"{name}: Brier {score:.3f} (the mean chance: {of_mean:.3f})"
        ax.errorbar(x, y, 2 * np.sqrt(y * (1 - y) / n), fmt="o-", color=colour, markersize=4, label=label)
        counts.bar(edges[:-1] + 0.03 + 0.04 * number, np.bincount(bins, minlength=10), 0.04, color=colour)
    ax.set(ylabel="share that is in sight", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(loc="upper left", fontsize=8, frameon=False)
    counts.set(xlabel="visibility", ylabel="joints", yscale="log")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Fit, write, plot, and tell the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=1500)
    parser.add_argument("--scenes", type=int, default=14)
    parser.add_argument("--shards", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    parts = [
        gathered(given.work / "crops.npz", crops(CROPS, given.crops, given.shards)),
        gathered(given.work / "scenes.npz", scenes(SCENES, given.scenes)),
    ]
    fitted(parts).write(WEIGHTS)
    shipped_weights.cache_clear()
    others = {
        "crops": gathered(given.work / "crops_held_out.npz", crops(CROPS_HELD_OUT, given.crops * 2 // 3, given.shards)),
        "scenes": gathered(given.work / "scenes_held_out.npz", scenes(SCENES_HELD_OUT, given.scenes * 2 // 3)),
    }
    plot(others, shipped_weights(), PICTURE)
    console = Terminal()
    for name, part in others.items():
        score, of_mean = brier(shipped_weights().likely(part.evidence), part.seen)
        console.print(f"{name}: {len(part.seen)} hands, Brier {score:.4f}, of the mean chance {of_mean:.4f}")


if __name__ == "__main__":
    main()
