"""Tracked boxes to hands, by hamba-s."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import MIRROR, HandModel
from stages.detection import CROP_SIDE, HandNetwork, crop_around, look_at
from stages.packets import Choice, Detections, Frame, Hand, HandBox, HandLook
from stages.reconstruction.estimator import Estimator
from stages.reconstruction.landmarks import LandmarksEstimator, SingleFit, landmark_offsets
from stages.reconstruction.quality import picture_error, quality_of, translation_std
from stages.reconstruction.small_hamba.network import SmallNetwork, ViewedHands
from stages.reconstruction.small_hamba.track import HandTrack
from stages.reconstruction.small_hamba.view import CropView

FORGET_AFTER: Final = 60
"""Frames without a hand after which its track's shape is forgotten."""

LEAST_PRESENCE: Final = 0.5
"""Below it the look saw no hand."""

FARTHEST: Final = 0.10
"""Of the hand's size in the picture: where network and landmarks are farther apart than this on average, one of them
is wrong, and the fit to the landmarks is given."""

SURE: Final = 0.9
FARTHEST_UNSURE: Final = 0.2
"""Where the look was less sure than this that it saw a hand at all, it is mostly its landmarks that are wrong, in the
picture too: they may then be so far apart."""

NOT_SEEN: Final = "the hand was not seen in the frame"
NO_HAND: Final = "no hand is seen in the crop"
CONTRADICTION: Final = "network and landmarks contradict each other"

_NEAREST: Final = 0.1  # m: the skin of a hand whose joints are all farther away is in front of the camera too


class SmallHambaEstimator(Estimator):
    """Has hamba-s correct the landmark fit of each tracked hand, from what the detector's last look at it saw.

    The look is the box's own, or, where the detector tells none or of the other side, one at a crop around the box's
    joints. What the network says is steadied along the track (`HandTrack`), and brought as near to the landmarks seen
    as it allows (`SingleFit.to_pose`). Where it and the landmarks contradict each other, where no hand is seen in the
    crop, and where the box is a guess (`HandBox.seen` is false), the fit to the landmarks is given, and counted by
    cause in the report.
    """

    name = "hamba-s"
    batch = 8
    in_flight = 1
    wants_maps = True

    def __init__(self, model: HandModel, network: Path | None = None) -> None:
        self._model, self._path = model, network
        self._landmarks = LandmarksEstimator(model, landmark_offsets(model))
        self._fit = SingleFit(model)
        self._looking: HandNetwork | None = None
        self._network: SmallNetwork | None = None
        self._tracks: dict[int, HandTrack] = {}
        self._frames = 0
        self.hands_given = 0
        """Hands of the network's so far."""
        self.fallbacks: Counter[str] = Counter()
        """Hands of the landmark fit's, by cause."""

    def open(self) -> None:
        """Load the network. Raises DependencyError, WeightsError."""
        self._network = SmallNetwork() if self._path is None else SmallNetwork(self._path, None)

    def close(self) -> None:
        """Let go of the networks, and forget the tracks."""
        self._looking = self._network = None
        self._landmarks.close()
        self._tracks.clear()

    def choices(self) -> tuple[Choice, ...]:
        """Return how many hands are the network's, and the landmark fit's by cause."""
        seen = "all of them" if self.hands_given else "none was seen"
        others = "the others are the landmark fit's" if self.fallbacks else seen
        given = Choice("hands by hamba-s", str(self.hands_given), others)
        fallbacks = (
            Choice("hands by landmarks", str(count), cause, fallback=True) for cause, count in self.fallbacks.items()
        )
        return (given, *fallbacks, *self._landmarks.choices())

    def begin(self, detections: Sequence[Detections]) -> Callable[[], list[tuple[Hand, ...]]]:
        """`reconstruct`, at once."""
        hands = self.reconstruct(detections)
        return lambda: hands

    def reconstruct(self, detections: Sequence[Detections]) -> list[tuple[Hand, ...]]:
        """Return the hands of each frame; frames in order of time."""
        detections = self._with_looks(detections)
        given = [list(hands) for hands in self._landmarks.reconstruct(detections)]
        tasks: list[_Task] = []
        for place, (packet, hands) in enumerate(zip(detections, given, strict=True)):
            self._frames += 1
            boxes = {box.track_id: box for box in packet.boxes}
            for which, hand in enumerate(hands):
                box = boxes[hand.track_id]
                if box.look is None:
                    self.fallbacks[NOT_SEEN] += 1
                elif box.look.presence < LEAST_PRESENCE:
                    self.fallbacks[NO_HAND] += 1
                else:
                    tasks.append(_Task(place, which, packet.frame, box, box.look, hand))
        for task, hand_or_none in zip(tasks, self._corrected(tasks) if tasks else (), strict=True):
            if hand_or_none is None:
                self.fallbacks[CONTRADICTION] += 1
            else:
                self.hands_given += 1
                given[task.place][task.which] = hand_or_none
        self._forget()
        return [tuple(hands) for hands in given]

    def _with_looks(self, detections: Sequence[Detections]) -> list[Detections]:
        """Return the same detections with a look, and the network's maps in it, at each hand that was seen."""
        return [
            replace(
                packet,
                boxes=tuple(
                    box
                    if not box.seen or box.track_id is None or _is_enough(box)
                    else self._with_look(packet.frame, box)
                    for box in packet.boxes
                ),
            )
            for packet in detections
        ]

    def _with_look(self, frame: Frame, box: HandBox) -> HandBox:
        """Return the box with a look at it, and with what was seen, where a hand was."""
        if self._looking is None:
            self._looking = HandNetwork()
        crop = crop_around(box.joints_2d, mirrored=box.side == "left")
        (sighting,) = look_at(self._looking, frame.image, [crop], maps=True)
        if sighting.look.presence < LEAST_PRESENCE:
            return replace(box, look=sighting.look)
        seen = sighting.box().of_side(box.side)
        return replace(box, joints_2d=seen.joints_2d, joints_world=seen.joints_world, box=seen.box, look=seen.look)

    def _corrected(self, tasks: "Sequence[_Task]") -> list[Hand | None]:
        """Return the network's hands; none where they contradict the landmarks."""
        if self._network is None:
            raise RuntimeError("SmallHambaEstimator: expected open() before hands, found none")
        views = [CropView.of(task.look.T_crop_picture, task.frame.meta.camera, CROP_SIDE) for task in tasks]
        landmarks = np.stack([task.look.landmarks for task in tasks])
        rays = np.stack([v.rays(seen) for v, seen in zip(views, landmarks[..., :2].astype(np.float64), strict=True)])
        first = [_in_view(task.hand, view) for task, view in zip(tasks, views, strict=True)]
        answer = self._network.correct(
            [np.stack(level) for level in zip(*(task.look.maps for task in tasks), strict=True)],
            landmarks,
            np.stack([task.look.world for task in tasks]),
            rays,
            np.array([view.focal_length for view in views]),
            ViewedHands(*map(np.stack, zip(*first, strict=True))),
        )
        tracks = [self._track(task) for task in tasks]
        betas = np.stack([track.shape(own) for track, own in zip(tracks, answer.betas, strict=True)])
        rotations = np.stack(
            [
                track.steadied(estimate.rotations, own, task.frame.meta.pts)
                for track, task, estimate, own in zip(tracks, tasks, first, answer.rotations, strict=True)
            ]
        )
        nowhere = np.zeros((len(tasks), 3))
        joints = self._model.joints(rotations[:, 0], rotations[:, 1:], betas, nowhere)
        refit = self._fit.to_pose(rays, rotations, joints, betas)
        return [
            self._hand(task, view, refit.rotations[i], betas[i], refit.wrist[i])
            for i, (task, view) in enumerate(zip(tasks, views, strict=True))
        ]

    def _track(self, task: "_Task") -> HandTrack:
        """Return the memory of a hand's track."""
        track = self._tracks.get(task.hand.track_id)
        if track is None or track.side != task.hand.side:
            track = self._tracks[task.hand.track_id] = HandTrack(task.hand.side)
        track.last_seen = self._frames
        return track

    def _hand(self, task: "_Task", view: CropView, rotations: Array, betas: Array, wrist: Array) -> Hand | None:
        """Return the real hand in the camera's frame; none where it is not where the landmarks are."""
        side, camera = task.hand.side, task.frame.meta.camera
        mirror = MIRROR if side == "left" else np.eye(3)
        orient = view.R_view_hand.T @ rotations[0]
        translation = view.to_camera(wrist) - mirror @ self._model.rest_joints(betas)[0]
        joints = self._model.joints(orient, rotations[1:], betas, translation, side)
        if not np.isfinite(joints).all() or joints[:, 2].min() < _NEAREST:
            return None
        joints_2d = camera.project(joints)
        error = picture_error(joints_2d, task.box)
        if error > (FARTHEST if task.look.presence >= SURE else FARTHEST_UNSURE):
            return None
        return replace(
            task.hand,
            global_orient=orient.astype(np.float32),
            hand_pose=rotations[1:].astype(np.float32),
            betas=betas.astype(np.float32),
            translation=translation.astype(np.float32),
            joints=joints.astype(np.float32),
            joints_2d=joints_2d.astype(np.float32),
            quality=quality_of(task.box, error),
            translation_std=translation_std(translation, task.box, error, camera),
        )

    def _forget(self) -> None:
        ended = [key for key, track in self._tracks.items() if self._frames - track.last_seen > FORGET_AFTER]
        for key in ended:
            del self._tracks[key]


class _Task(NamedTuple):
    """A hand to correct."""

    place: int  # of its frame among those given
    which: int  # of the hands in its frame
    frame: Frame
    box: HandBox
    look: HandLook
    hand: Hand  # the landmark fit's


def _in_view(hand: Hand, view: CropView) -> ViewedHands:
    """Return a hand's parameters in a view."""
    orient = view.R_view_hand @ hand.global_orient.astype(np.float64)
    rotations = np.concatenate([orient[None], hand.hand_pose.astype(np.float64)])
    return ViewedHands(rotations, hand.betas.astype(np.float64), view.from_camera(hand.joints[0].astype(np.float64)))


def _is_enough(box: HandBox) -> bool:
    """Return whether the detector's own look at it can be built on."""
    return box.look is not None and bool(box.look.maps) and box.look.mirrored == (box.side == "left")
