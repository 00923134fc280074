"""Tracked boxes to hands, by the Hamba network."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hamba_core.configuration import CROP_SIZE
from hamba_core.errors import PipelineError
from hamba_core.full_camera import translation_in_picture
from hamba_core.hand_model import MIRROR, HandModel
from hamba_core.square import Square, square_around
from stages.packets import Choice, Detections, Frame, Hand, HandBox, HandTopology
from stages.proximity import tight_box
from stages.settings import StageSettings

if TYPE_CHECKING:
    import torch

    from hamba_core.network import Hamba

Array = NDArray[np.float32]

FORGET_AFTER: Final = 60
"""Frames without a hand after which its last place is forgotten."""

_LARGEST_BATCH: Final = {"cpu": 8, "cuda": 32}
"""Most hands that go through the network at once."""

_LARGEST_CROP: Final = 8.0
"""Largest crop, in sizes of the picture."""

log = logging.getLogger(__name__)


class NetworkSettings(StageSettings):
    """How the network is run."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU if there is one")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the large matrix products; auto: bfloat16 where the device has it"
    )
    scan: Literal["auto", "reference", "associative", "mamba-ssm"] = Field(
        "auto", description="selective scan; auto: mamba-ssm where it is installed on CUDA, else associative"
    )
    rescale: float = Field(
        2.0, gt=0, le=10, description="size of the crop relative to the hand's box, 2 in the release"
    )


class HambaEstimator:
    """Cuts a crop for each tracked box, runs the network on all of them at once, and puts the hands into the picture.

    A box that tracking gave no id yet is passed over. Where a box is not the detector's own but a guess
    (`HandBox.seen` is false), the crop is cut around the joints that the network itself last found for that track.
    A hand that the network puts behind the camera is left out of its frame, counted in `left_out`, and the first of
    them is logged.
    """

    name = "hamba"
    batch = 4

    def __init__(self, checkpoint: Path, mano: Path | None = None, settings: NetworkSettings | None = None) -> None:
        self._checkpoint, self._mano, self._settings = checkpoint, mano, settings or NetworkSettings()
        self._network: Hamba | None = None
        self._hand: HandModel | None = None
        self._device = "cpu"
        self._largest_batch = 1
        self._choices: tuple[Choice, ...] = ()
        self._places: dict[int, _Place] = {}
        self._frames = 0
        self.left_out = 0
        """Hands left out so far."""

    def open(self) -> None:
        """Load the network. Raises WeightsError, HandModelError, ConfigurationError, DeviceError, DependencyError."""
        import torch

        from hamba_core.loading import checked_device, load
        from hamba_core.memory import keep_freed_memory
        from hamba_core.packing import choose_packing
        from hamba_core.precision import PrecisionChoice, choose_precision

        settings = self._settings
        if settings.device == "auto":
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            reason = "torch finds a GPU" if device.type == "cuda" else "torch finds no GPU"
        else:
            device, reason = checked_device(settings.device), "reconstruct.device"
        if settings.precision == "auto":
            precision = choose_precision(device)
        else:
            precision = PrecisionChoice(getattr(torch, settings.precision), "reconstruct.precision")
        if device.type == "cpu":
            keep_freed_memory()
        packing = choose_packing(device, precision.dtype)
        network = load(self._checkpoint, self._mano, device, precision.dtype, packed=packing.packed)
        scan = network.use_scan(None if settings.scan == "auto" else settings.scan)
        kernels = "oneDNN, packed weights" if packing.packed else "torch"
        with torch.inference_mode():
            network(torch.zeros(1, 3, CROP_SIZE, CROP_SIZE, device=device))  # the first pass packs weights and warms up
        self._network, self._hand = network, network.hand
        self._device, self._largest_batch = str(device), _LARGEST_BATCH[device.type]
        self._choices = (
            Choice("weights", str(self._checkpoint), network.origin),
            Choice("device", _device_name(device), reason),
            Choice("precision", str(precision.dtype).removeprefix("torch."), precision.reason),
            Choice("scan kernel", scan.kernel, scan.reason),
            Choice("matrix kernels", kernels, packing.reason),
            Choice("hand model", network.hand.name, str(self._mano) if self._mano else "with the weights"),
        )

    def close(self) -> None:
        """Let the network go."""
        self._network = None
        self._places.clear()

    def choices(self) -> tuple[Choice, ...]:
        """Weights, device, precision, kernels and hand model; empty before `open`."""
        return self._choices

    def hand_model(self) -> HandModel:
        """The user's MANO hand, after `open`, and after `close` too: the stages behind still have hands to pass on."""
        if self._hand is None:
            raise _not_open()
        return self._hand

    def topology(self) -> HandTopology:
        """That of the hand model."""
        hand = self.hand_model()
        right, left = (hand.faces_of(side).astype(np.int32) for side in ("right", "left"))
        return HandTopology(hand.name, len(hand.v_template), right, left)

    def reconstruct(self, detections: Sequence[Detections]) -> list[tuple[Hand, ...]]:
        """The hands of each frame; frames in order of time. Hands of several frames go through the network together."""
        hands: list[list[Hand]] = [[] for _ in detections]
        waiting: list[_View] = []
        for place, packet in enumerate(detections):
            self._frames += 1
            known = {view.box.track_id for view in waiting}
            if any(not box.seen and box.track_id in known for box in packet.boxes):
                # Where this hand is now, the network says from a frame that is still waiting.
                self._run(waiting, hands)
                waiting = []
            waiting += [self._view(place, packet.frame, box) for box in packet.boxes if box.track_id is not None]
        self._run(waiting, hands)
        self._forget()
        return [tuple(of_frame) for of_frame in hands]

    def _view(self, place: int, frame: Frame, box: HandBox) -> "_View":
        """Where to look for a hand."""
        last = self._places.get(box.track_id or 0)
        if last is not None and not box.seen:
            box = replace(box, box=last.box)
        return _View(place, frame, box, square_around(box.box, self._settings.rescale))

    def _run(self, views: "Sequence[_View]", hands: "list[list[Hand]]") -> None:
        """Reconstruct these and put them with the hands of their frames."""
        sane = []
        for view in views:
            if _can_be_cut(view):
                sane.append(view)
            else:
                self._leave_out(view.box)
        for start in range(0, len(sane), self._largest_batch):
            batch = sane[start : start + self._largest_batch]
            for view, seen in zip(batch, self._infer(batch), strict=True):
                hand = _hand(view, seen)
                if hand is None:
                    self._leave_out(view.box)
                    continue
                hands[view.place].append(hand)
                self._places[hand.track_id] = _Place(tight_box(hand.joints_2d).astype(np.float32), self._frames)

    def _infer(self, views: "Sequence[_View]") -> "list[_Seen]":
        """What the network makes of these crops."""
        import torch

        from hamba_core.crop import cut_crops

        network = self._loaded()
        mean, std = network.configuration.mean, network.configuration.std
        with torch.inference_mode():
            crops = []
            for _, group in groupby(views, lambda view: view.place):
                of_frame = list(group)
                picture = torch.tensor(of_frame[0].frame.image, device=self._device)
                squares = [view.square for view in of_frame]
                crops.append(cut_crops(picture, squares, [view.box.side for view in of_frame], mean, std))
            output = network(torch.cat(crops))
            fields = [getattr(output, name) for name in _Seen._fields]
            return [_Seen(*arrays) for arrays in zip(*(field.cpu().numpy() for field in fields), strict=True)]

    def _loaded(self) -> "Hamba":
        if self._network is None:
            raise _not_open()
        return self._network

    def _forget(self) -> None:
        ended = [track for track, place in self._places.items() if self._frames - place.frame > FORGET_AFTER]
        for track in ended:
            del self._places[track]

    def _leave_out(self, box: HandBox) -> None:
        self.left_out += 1
        if self.left_out == 1:
            log.warning(
                "hamba: the %s hand of track %s is left out: its box is far larger than the picture, or the network "
                "puts it behind the camera; more are only counted",
                box.side,
                box.track_id,
            )


class _Place(NamedTuple):
    """Where the network last found a track's hand."""

    box: Array  # (4,) px
    frame: int


@dataclass(frozen=True, eq=False)
class _View:
    """One hand in one frame."""

    place: int  # of the frame among those given
    frame: Frame
    box: HandBox
    square: Square


class _Seen(NamedTuple):
    """The network's answer for one crop: a right hand."""

    camera: Array  # (3,)
    global_orient: Array  # (3, 3)
    hand_pose: Array  # (15, 3, 3)
    betas: Array  # (10,)
    joints: Array  # (21, 3) m
    vertices: Array  # (V, 3) m


def _can_be_cut(view: _View) -> bool:
    meta = view.frame.meta
    return view.square.side <= _LARGEST_CROP * max(meta.width, meta.height)


def _hand(view: _View, seen: _Seen) -> Hand | None:
    """The real hand in the picture's camera; none where a part of it would not be in front of it."""
    camera, side = view.frame.meta.camera, view.box.side
    translation = translation_in_picture(seen.camera, view.square, side, camera)
    mirror = MIRROR if side == "left" else np.eye(3)
    joints, vertices = (points.astype(np.float64) @ mirror + translation for points in (seen.joints, seen.vertices))
    if not (np.isfinite(vertices).all() and vertices[:, 2].min() > 0):
        return None
    return Hand(
        track_id=view.box.track_id or 0,
        side=side,
        score=view.box.score,
        box=view.box.box,
        global_orient=seen.global_orient,
        hand_pose=seen.hand_pose,
        betas=seen.betas,
        translation=translation.astype(np.float32),
        joints=joints.astype(np.float32),
        joints_2d=camera.project(joints).astype(np.float32),
        vertices=vertices.astype(np.float32),
    )


def _not_open() -> PipelineError:
    return PipelineError("the hamba estimator: expected open to be called first, found it closed; open it")


def _device_name(device: "torch.device") -> str:
    import torch

    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"
