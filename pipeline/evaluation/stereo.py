"""Two calibrated views of a hand give real truth without a data set: the detector's joints in both, triangulated."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import ConfigurationError, error_reason
from hamba_core.metrics import mpjpe, pa_mpjpe, root_aligned
from hamba_core.untrusted import DocumentError, parse_document, read_text
from hamba_core.view import Intrinsics
from pipeline.evaluation.chain import Answers, opened_chain
from pipeline.evaluation.matching import matched
from pipeline.evaluation.report import Table, number
from pipeline.evaluation.scores import Tree, plain
from pipeline.settings import Settings
from stages.contract import Source
from stages.detection import HandDetection
from stages.packets import Frame, HandBox, Image
from stages.sources import source_for

GATE: Final = 3.0
"""px: mean distance of the triangulated joints from those seen, in both views, up to which they are a reference."""
_NEAREST, _FARTHEST = 0.05, 5.0  # m, of a hand from the camera
_LEAST_APART, _MOST_APART = 0.001, 10.0  # m, of the two cameras
_COEFFICIENTS: Final = (4, 5, 8, 12, 14)


@dataclass(frozen=True, eq=False)
class Lens:
    """A view's camera: OpenCV's `matrix` (3, 3) and `distortion` (N,), with pixels' centres at whole numbers."""

    matrix: Array
    distortion: Array

    @property
    def camera(self) -> Intrinsics:
        """The camera of its undistorted pictures, in our pixels."""
        m = self.matrix
        return Intrinsics(float(m[0, 0]), float(m[1, 1]), float(m[0, 2]) + 0.5, float(m[1, 2]) + 0.5)

    def undistorted(self, image: Image) -> Image:
        """Return the picture as a pinhole would have taken it."""
        import cv2

        if not self.distortion.any():
            return image
        return np.asarray(cv2.undistort(image, self.matrix, self.distortion), np.uint8)


@dataclass(frozen=True, eq=False)
class StereoRig:
    """Two cameras. `R` (3, 3) and `T` (3,), metres, take the left camera's frame to the right one's."""

    left: Lens
    right: Lens
    R: Array
    T: Array


def read_rig(path: Path, unit: float = 1.0) -> StereoRig:
    """Read M1, D1, M2, D2, R and T as OpenCV's stereo calibration writes them, in YAML, JSON or XML; or K1 and K2.

    `unit` is metres in one of T's units. Raises ConfigurationError.
    """
    try:
        tree = parse_document(read_text(path))
        if not isinstance(tree, dict):
            raise DocumentError("expected names with values, found none")
        left, right = (
            Lens(_numbers(tree, (f"M{n}", f"K{n}"), (3, 3)), _numbers(tree, (f"D{n}",), None)) for n in (1, 2)
        )
        rig = StereoRig(left, right, _numbers(tree, ("R",), (3, 3)), unit * _numbers(tree, ("T",), (3,)))
        _check(rig)
        return rig
    except (OSError, DocumentError) as error:
        raise ConfigurationError(
            f"{path}: expected a stereo calibration with M1, D1, M2, D2, R and T, found: {error_reason(error)}"
        ) from error


def _check(rig: StereoRig) -> None:
    """Raise DocumentError where that is no pair of cameras."""
    for n, lens in ((1, rig.left), (2, rig.right)):
        if not (lens.matrix[0, 0] > 0 and lens.matrix[1, 1] > 0):
            raise DocumentError(f"M{n} has no focal lengths above 0")
        if len(lens.distortion) not in _COEFFICIENTS:
            raise DocumentError(f"D{n} has {len(lens.distortion)} numbers; OpenCV's have {_COEFFICIENTS}")
    if not (np.allclose(rig.R @ rig.R.T, np.eye(3), atol=1e-3) and np.linalg.det(rig.R) > 0):
        raise DocumentError("R is no rotation")
    apart = float(np.linalg.norm(rig.T))
    if not _LEAST_APART <= apart <= _MOST_APART:
        raise DocumentError(
            f"cameras {apart:g} m apart, not {_LEAST_APART:g} to {_MOST_APART:g}; say with --unit what one of T's "
            "units is in metres"
        )


def _numbers(tree: dict[str, Any], names: tuple[str, ...], shape: tuple[int, ...] | None) -> Array:
    node = next((tree[name] for name in names if name in tree), None)
    if node is None:
        raise DocumentError(f"no {' or '.join(names)}")
    try:
        array = np.asarray(node["data"] if isinstance(node, dict) else node, np.float64).reshape(shape or (-1,))
    except (KeyError, TypeError, ValueError) as error:
        raise DocumentError(f"{names[0]} is no array of numbers {shape or ''}") from error
    if not np.isfinite(array).all():
        raise DocumentError(f"{names[0]} is not finite")
    return array


def triangulated(rig: StereoRig, left: Array, right: Array) -> tuple[Array, float]:
    """Return points (N, 3), metres, left camera's frame, of pixels (N, 2) in both views; and how well they fit, px.

    The method is the direct linear transform (Hartley and Zisserman, "Multiple view geometry", 12.2) on normalised
    coordinates. How well they fit is the mean distance of their projections from the pixels.
    """
    rays = [lens.camera.rays(pixels)[:, :2] for lens, pixels in ((rig.left, left), (rig.right, right))]
    projections = [np.eye(3, 4), np.column_stack([rig.R, rig.T])]
    rows = [
        xy[:, k, None] * projection[2] - projection[k]
        for xy, projection in zip(rays, projections, strict=True)
        for k in (0, 1)
    ]
    homogeneous = np.linalg.svd(np.stack(rows, 1))[2][:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        points = homogeneous[:, :3] / homogeneous[:, 3:]
        in_right = points @ rig.R.T + rig.T
        errors = [
            np.linalg.norm(lens.camera.project(p) - pixels, axis=1)
            for lens, p, pixels in ((rig.left, points, left), (rig.right, in_right, right))
        ]
    if not (np.isfinite(points).all() and points[:, 2].min() > 0 and in_right[:, 2].min() > 0):
        return points, float("inf")
    return points, float(np.mean(errors))


def measure_stereo(
    left: str,
    right: str,
    rig: StereoRig,
    settings: Settings,
    gate: float = GATE,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Tree:
    """Measure the estimator on the left video against what both views' joints say, and MediaPipe beside it.

    The videos are synchronous: frames of the same number belong together. Raises HambaError.
    """
    rows: list[dict[str, float]] = []
    seen = frames = 0
    fits: list[float] = []
    with ExitStack() as stack:
        chain = stack.enter_context(opened_chain(settings, sources=True))
        other = stack.enter_context(HandDetection(settings.detect))
        sources = [source_for(text, settings.source) for text in (left, right)]
        expected = 0
        for source in reversed(sources):
            stack.callback(source.close)
            expected = source.open().frames or 0
        for pair in zip(*(_frames(source) for source in sources), strict=False):
            one, two = (_through(lens, frame) for lens, frame in zip((rig.left, rig.right), pair, strict=True))
            answers, beside = chain.answer(one), other.process(two)
            frames += 1
            on_progress(min(frames / expected, 1.0) if expected else 0.0)
            boxes = [box for box in answers.tracked.boxes if box.seen]
            seen += len(boxes)
            for box in boxes:
                points, fit = _reference(rig, box, beside.boxes)
                if points is not None and fit <= gate and _NEAREST < points[:, 2].mean() < _FARTHEST:
                    fits.append(fit)
                    rows.append(_errors(box, answers, points))
    names = sorted({name for row in rows for name in row})
    values = {name: np.array([row[name] for row in rows if name in row]) for name in names}
    tree: Tree = plain({
        "kind": "stereo",
        "estimator": chain.estimator,
        "frames": frames,
        "hands_seen": seen,
        "references": len(rows),
        "gate": gate,
        "fit": float(np.mean(fits)) if fits else None,
        "median": {name: float(np.median(v)) for name, v in values.items()},
        "mean": {name: float(np.mean(v)) for name, v in values.items()},
        "p95": {name: float(np.percentile(v, 95)) for name, v in values.items()},
    })  # fmt: skip
    return tree


def _reference(rig: StereoRig, box: HandBox, others: Sequence[HandBox]) -> tuple[Array | None, float]:
    """Return the joints (21, 3) m of a hand of the left view and how well they fit both views, px, with its best match.

    They are None if the right view has no hand.
    """
    candidates = [
        triangulated(rig, box.joints_2d.astype(np.float64), other.joints_2d.astype(np.float64)) for other in others
    ]
    return min(candidates, key=lambda candidate: candidate[1], default=(None, np.inf))


def _errors(box: HandBox, answers: Answers, points: Array) -> dict[str, float]:
    """Return how far, mm, the detector's joints and the estimator's, raw and smoothed, are from the reference's."""
    row = {
        "mediapipe_mpjpe": _rooted(box.joints_world, points),
        "mediapipe_pa_mpjpe": 1e3 * float(pa_mpjpe(box.joints_world, points)),
    }
    for name, hands in (("raw", answers.raw.hands), ("smoothed", answers.smoothed.hands)):
        which = matched([hand.joints_2d for hand in hands], [box.joints_2d]).get(0)
        if which is not None:
            joints = hands[which].joints
            row[f"{name}_mpjpe"] = _rooted(joints, points)
            row[f"{name}_pa_mpjpe"] = 1e3 * float(pa_mpjpe(joints, points))
            row[f"{name}_place"] = 1e3 * float(np.linalg.norm(joints.mean(0) - points.mean(0)))
    return row


def _rooted(joints: Any, points: Array) -> float:
    return 1e3 * float(mpjpe(root_aligned(joints, joints, points), points))


def _frames(source: Source) -> Iterator[Frame]:
    return (frame for frame in source.frames() if frame is not None)


def _through(lens: Lens, frame: Frame) -> Frame:
    """Return the frame without its lens's distortion, with its camera."""
    return Frame(replace(frame.meta, camera=lens.camera), lens.undistorted(frame.image))


def stereo_table(tree: Tree) -> Table:
    """Return a table of each method's errors against the triangulated joints."""
    rows = []
    for method, label in (("mediapipe", "MediaPipe"), ("raw", f"{tree['estimator']} raw"),
                          ("smoothed", f"{tree['estimator']} smoothed")):  # fmt: skip
        cells = [
            number(tree[kind].get(f"{method}_{name}"), digits)
            for name, digits in (("pa_mpjpe", 2), ("mpjpe", 1), ("place", 0))
            for kind in ("median", "mean", "p95")
        ]
        rows.append((label, *cells))
    heads = [f"{name} {kind}" for name in ("PA-MPJPE", "MPJPE", "place") for kind in ("median", "mean", "p95")]
    return Table(
        "Against triangulated joints, mm", ("method", *heads), tuple(rows),
        f"{tree['references']} references in {tree['frames']} pairs of frames, of {tree['hands_seen']} hands seen on "
        f"the left: those whose joints fit both views to {tree['gate']:g} px (mean {number(tree['fit'], 2)} px). "
        "The reference has the detector's own idea of where joints are, and its errors that both views share.",
    )  # fmt: skip
