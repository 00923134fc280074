"""The `landmarks` estimator turns tracked boxes into hands by fitting a hand model to the detector's joints."""

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import SIDES, HandModel, exp_so3, mirrored_points
from hamba_core.view import Intrinsics
from stages.packets import Choice, Detections, Hand, HandBox
from stages.reconstruction.estimator import Estimator
from stages.reconstruction.landmarks.fingers import Fingers
from stages.reconstruction.landmarks.fit import Fit, LandmarkFit, Landmarks, Pose
from stages.reconstruction.landmarks.shape import RunningLengths, ShapeFromLengths, span_lengths
from stages.reconstruction.left_out import left_out_choices
from stages.reconstruction.quality import quality_of, translation_std
from stages.reconstruction.turning import Sight, Turning

FORGET_AFTER = 60
"""Frames without a hand after which its track's shape is forgotten."""

# No hand in a picture goes beyond these limits; landmarks and fits that do are left out.
SCALE = (0.1, 10.0)  # 3D landmarks relative to the model; those of a hand seen from its edge can be 2.3 times too small
LEAST_VIEW = 1e-3  # rays that the hand spans: under a pixel in a picture of 640
WIDEST_VIEW = 10.0  # rays: 84 degrees off the optical axis
DEPTH = (0.05, 20.0)  # m
NEAR = 0.1  # m: the skin of a hand whose joints are all farther away is in front of the camera too
WORST_ERROR = 0.15  # mean distance of the fitted landmarks from those seen, as a share of the hand's size
STILL_ERROR = 0.08  # the same, of a hand that is shown as it was in the frame before
CONTRADICTION = 0.04  # the same, from which on 3D landmarks and picture contradict each other

_HELD_SCATTER: Final = 0.02
"""m: of a hand's joints about where they were in the frame before, when they are held."""

_NO_VERTICES: Final = np.zeros((0, 3), np.float32)

log = logging.getLogger(__name__)


# Why a hand is left out.
NO_HAND = "its landmarks are in one point or far outside the picture"
NO_POSE = f"no pose of a hand brings it within {WORST_ERROR:.0%} of its size of its landmarks"
NO_DISTANCE = f"it would be nearer than {DEPTH[0] * 100:.0f} cm or farther than {DEPTH[1]:.0f} m"


class LandmarksEstimator(Estimator):
    """Fits `model` to the landmarks of each tracked hand, and gives its parameters and joints, without the mesh.

    It remembers a shape for each track, and forgets it `FORGET_AFTER` frames after the hand was last seen. A box that
    tracking gave no id yet is passed over. A hand whose landmarks make no sane fit is left out of its frame and counted
    by cause in `left_out`; the first of them is logged.
    """

    name = "landmarks"
    batch = 16
    in_flight = 1

    def __init__(self, model: HandModel, offsets: Array | None = None) -> None:
        self._model = model
        self._offsets = np.zeros((21, 3)) if offsets is None else offsets
        self._fingers = Fingers(model, self._offsets)
        self._fit = LandmarkFit(self._fingers, self._offsets)
        self._shape = ShapeFromLengths(model, self._offsets)
        self._tracks: dict[int, _Track] = {}
        self._last: dict[Hashable, Pose] = {}  # by track and side
        self._turning = Turning()
        self._shown: dict[Hashable, _Shown] = {}  # in the frame before, by track and side
        self._steady = LandmarkFit(self._fingers, self._offsets, point_scatter=_HELD_SCATTER)
        self._frames = 0
        self.left_out: Counter[str] = Counter()
        """Hands left out so far, by cause."""
        self.held = 0
        """Hands so far whose 3D landmarks were not believed, so that they go on from the frame before."""

    @property
    def tracks(self) -> int:
        """How many tracks it remembers."""
        return len(self._tracks)

    def open(self) -> None:
        """Do nothing: the model was given, so there is nothing to load."""

    def close(self) -> None:
        """Forget the tracks."""
        self._tracks.clear()
        self._last.clear()
        self._turning.clear()
        self._shown.clear()

    def choices(self) -> tuple[Choice, ...]:
        """Return what is assumed of the hands' size, and how many were held as before, or left out and why."""
        size = Choice("hand size", "near the model's mean", "one camera cannot measure it; distances scale with it")
        reason = "they would have turned faster than a hand can, or contradicted the picture"
        held = (Choice("hands held as before", str(self.held), reason),) if self.held else ()
        return (size, *held, *left_out_choices(self.left_out))

    def reconstruct(self, detections: Sequence[Detections]) -> list[tuple[Hand, ...]]:
        """Return the hands of each frame; frames come in order of time. Many at once cost less than one by one."""
        views = [view for place, frame in enumerate(detections) for view in self._views(place, frame)]
        hands: list[list[Hand]] = [[] for _ in detections]
        for view, hand in zip(views, self._fitted(views) if views else (), strict=True):
            if isinstance(hand, str):
                self._leave_out(view.box, hand)
            else:
                hands[view.place].append(hand)
        return [tuple(of_frame) for of_frame in hands]

    def begin(self, detections: Sequence[Detections]) -> Callable[[], list[tuple[Hand, ...]]]:
        """Reconstruct these frames at once, and return a function that gives their hands."""
        hands = self.reconstruct(detections)
        return lambda: hands

    def _views(self, place: int, detections: Detections) -> "list[_View]":
        """Return the hands of one frame that look sane, and bring their tracks' shapes up to date."""
        self._frames += 1
        views = []
        for box in detections.boxes:
            if box.track_id is None:
                continue
            rays, points = _as_right_hand(box, detections.frame.meta.camera)
            lengths = span_lengths(points)
            scale = self._shape.mean_lengths.sum() / max(lengths.sum(), 1e-9)
            spread = np.ptp(rays, axis=0).max()
            if not (SCALE[0] < scale < SCALE[1] and spread > LEAST_VIEW and np.abs(rays).max() < WIDEST_VIEW):
                self._leave_out(box, NO_HAND)
                continue
            track = self._tracks.get(box.track_id)
            if track is None:
                track = self._tracks[box.track_id] = _Track(RunningLengths(lengths), self._frames)
            else:
                if box.seen:
                    track.lengths.add(lengths, self._shape.NOISE)
                track.last_seen = self._frames
            betas = self._shape.betas(track.lengths)
            rest = self._model.rest_joints_21(betas)
            model_lengths = span_lengths(rest + self._offsets)
            # The detector's scale is a guess that changes from frame to frame; the track's shape is steady.
            points *= (model_lengths @ lengths) / (lengths @ lengths)
            meta = detections.frame.meta
            views.append(_View(place, box.track_id, box, meta.camera, meta.pts, rays, points, betas, rest))
        ended = [key for key, track in self._tracks.items() if self._frames - track.last_seen > FORGET_AFTER]
        for key in ended:
            del self._tracks[key]
            for side in SIDES:
                self._last.pop((key, side), None)
                self._shown.pop((key, side), None)
                self._turning.forget((key, side))
        return views

    def _fitted(self, views: "list[_View]") -> list[Hand | str]:
        """Return for each view the hand, or the cause why it is left out."""
        rest = np.stack([view.rest for view in views])
        landmarks = Landmarks(np.stack([view.rays for view in views]), np.stack([view.points for view in views]))
        tracks = [(view.box.track_id, view.box.side) for view in views]
        rest_at_wrist = rest - rest[:, :1]
        fit = self._fit.fit(landmarks, rest_at_wrist, tracks, self._last)
        for i, view in enumerate(views):
            fit = self._held(i, view, rest_at_wrist[i : i + 1], fit)
        poses = self._fingers.hand_pose(fit.angles)
        near = fit.ray_error < WORST_ERROR
        distance = (fit.wrist[:, 2] > DEPTH[0]) & (fit.wrist[:, 2] < DEPTH[1])
        betas, translations = np.stack([view.betas for view in views]), fit.wrist - rest[:, 0]
        joints = self._model.joints(fit.global_orient, poses, betas, translations)
        hands: list[Hand | str] = []
        for i, view in enumerate(views):
            if near[i] and distance[i]:
                error = float(fit.ray_error[i])
                hands.append(self._hand(view, fit.global_orient[i], poses[i], translations[i], joints[i], error))
            else:
                hands.append(NO_DISTANCE if near[i] else NO_POSE)
        return hands

    def _held(self, i: int, view: "_View", rest: Array, fit: Fit) -> Fit:
        """Return the fit, with its hand i bent and turned by the frame before where the 3D landmarks are not believed.

        They are not where the hand would have turned faster than it can, and where they contradict the picture. Then
        the landmarks of the frame before stand for them, if that goes with the picture.
        """
        key = (view.track_id, view.box.side)
        if not view.box.seen:
            # What was not believed when it was seen last is not believed now.
            return self._as_before(i, key, view, rest, fit) if self._turning.is_held(key) else fit
        sight = Sight.of(view.pts, fit.global_orient[i], view.rays)
        doubted = self._turning.doubts(key, sight)
        held = None
        if doubted or (fit.ray_error[i] > CONTRADICTION and self._turning.goes_on(key, sight)):
            held = self._continued(key, view, rest, sight, float(fit.ray_error[i]), doubted=doubted)
        if held is not None:
            fit = Fit(*(_with_row(all_, i, row[0]) for all_, row in zip(fit, held, strict=True)))
            self.held += 1
        self._turning.take(key, sight._replace(orient=fit.global_orient[i]), held=doubted and held is not None)
        pose = Pose(fit.global_orient[i], fit.angles[i])
        self._shown[key] = _Shown(pose, fit.turned[i])
        if held is not None:
            self._last[key] = pose
        return fit

    def _as_before(self, i: int, key: Hashable, view: "_View", rest: Array, fit: Fit) -> Fit:
        """Return the fit, with its hand i as it was when it was seen last."""
        placed = self._steady.placed(Landmarks(view.rays[None], view.points[None]), rest, self._shown[key].pose)
        self.held += 1
        return Fit(*(_with_row(all_, i, row[0]) for all_, row in zip(fit, placed, strict=True)))

    def _continued(
        self, key: Hashable, view: "_View", rest: Array, sight: Sight, error: float, *, doubted: bool
    ) -> Fit | None:
        """Return one hand that goes on from the frame before; None where the picture says otherwise.

        `error` is that of the hand as the 3D landmarks have it.
        """
        before = self._shown[key]
        seen = Landmarks(view.rays[None], before.landmarks[None])
        one = self._steady.fit(seen, rest)
        if float(one.ray_error[0]) < error / 2:
            return one
        if not self._turning.is_too_fast(key, sight._replace(orient=one.global_orient[0])):
            return one if one.ray_error[0] < (WORST_ERROR if doubted else error) else None
        placed = self._steady.placed(seen, rest, before.pose)
        return placed if doubted and placed.ray_error[0] < STILL_ERROR else None

    def _hand(
        self, view: "_View", global_orient: Array, hand_pose: Array, translation: Array, joints: Array, error: float
    ) -> Hand | str:
        """Return the packet, without a mesh, of a hand fitted as a right one; or the cause why it is left out."""
        box, betas = view.box, view.betas
        if joints[:, 2].min() < NEAR:
            mesh = self._model.pose(global_orient, hand_pose, betas, translation).vertices
            if mesh[:, 2].min() <= 0:
                return NO_DISTANCE
        translation, joints = (mirrored_points(points, box.side) for points in (translation, joints))
        return Hand(
            track_id=view.track_id,
            side=box.side,
            score=box.score,
            box=box.box,
            global_orient=global_orient.astype(np.float32),
            hand_pose=hand_pose.astype(np.float32),
            betas=betas.astype(np.float32),
            translation=translation.astype(np.float32),
            joints=joints.astype(np.float32),
            joints_2d=view.camera.project(joints).astype(np.float32),
            vertices=_NO_VERTICES,
            seen=not box.missed,
            quality=quality_of(box, error),
            translation_std=translation_std(translation, box, error, view.camera),
        )

    def _leave_out(self, box: HandBox, cause: str) -> None:
        self.left_out[cause] += 1
        if self.left_out.total() == 1:
            log.warning(
                "landmarks: the %s hand of track %s is left out, %s; more are only counted, in the report",
                box.side,
                box.track_id,
                cause,
            )


@dataclass
class _Track:
    """What is remembered of a track."""

    lengths: RunningLengths
    last_seen: int


def _with_row(array: Array, row: int, value: Array) -> Array:
    """Return the array with another row in the place of this one."""
    changed = array.copy()
    changed[row] = value
    return changed


class _Shown(NamedTuple):
    """How a hand was fitted."""

    pose: Pose
    landmarks: Array  # (21, 3) m, about the wrist, camera axes


class _View(NamedTuple):
    """One hand in one frame, as a right hand."""

    place: int  # of the frame among those given
    track_id: int
    box: HandBox
    camera: Intrinsics
    pts: float  # s
    rays: Array  # (21, 2)
    points: Array  # (21, 3) m, camera-aligned axes, any origin
    betas: Array  # (10,)
    rest: Array  # (21, 3) m


def _as_right_hand(box: HandBox, camera: Intrinsics) -> tuple[Array, Array]:
    """Return rays (21, 2) and 3D landmarks (21, 3) along the camera's axes; those of a left hand are mirrored.

    The detector sees a cut-out of the picture as if it looked straight at it, so its axes are those of a camera turned
    towards the hand: they are turned back here.
    """
    rays = camera.rays(box.joints_2d)[:, :2]
    points = mirrored_points(box.joints_world, box.side)
    if box.side == "left":
        rays[:, 0] *= -1
    x, y = rays.mean(0)
    off_axis = np.hypot(x, y)
    turn = exp_so3(np.array([-y, x, 0.0]) * (np.arctan(off_axis) / max(off_axis, 1e-9)))
    return rays, points @ turn.T
