"""The truth of a synthetic picture is exact: every hand's parameters, points, and how much of it can be seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hamba_core.arrays import AnyArray, Array, BoolArray
from hamba_core.errors import HambaError
from hamba_core.hand import SIDES, HandModel, Side
from hamba_core.untrusted import DocumentError, load_arrays
from hamba_core.view import Intrinsics

_LARGEST: Final = 1e6  # metres, pixels, radians


@dataclass(frozen=True, eq=False)
class HandTruth:
    """One hand in one picture.

    `global_orient`, `hand_pose` and `betas` of a left hand are those of the mirrored right hand, as everywhere here;
    everything else is the real hand in the camera frame.
    """

    side: Side
    global_orient: Array  # (3, 3)
    hand_pose: Array  # (15, 3, 3)
    betas: Array  # (10,)
    translation: Array  # (3,) m
    joints: Array  # (21, 3) m
    vertices: Array  # (V, 3) m
    joints_2d: Array  # (21, 2) px, also outside the picture
    visible_joints: BoolArray  # (21,) in the picture with nothing but the joint's own flesh before it
    visibility: float  # 0..1: of the vertices that would be seen of this hand alone in an endless picture, those seen
    palm_in_view: bool  # the palm's side faces the camera, its corners are in the picture, hardly anything covers it


@dataclass(frozen=True, eq=False)
class ClipTruth:
    """The ground truth of a whole clip of F frames and H hands. Hands out of the picture are there too.

    Vertices are not kept: `vertices` makes them again from the parameters, exactly, with the hand model of that name.
    """

    model: str  # HandModel.name
    width: int  # px
    height: int  # px
    fps: float
    camera: Intrinsics
    sides: tuple[Side, ...]  # (H,)
    global_orient: NDArray[np.float32]  # (F, H, 3, 3)
    hand_pose: NDArray[np.float32]  # (F, H, 15, 3, 3)
    betas: NDArray[np.float32]  # (H, 10)
    translation: NDArray[np.float32]  # (F, H, 3) m
    joints: NDArray[np.float32]  # (F, H, 21, 3) m
    joints_2d: NDArray[np.float32]  # (F, H, 21, 2) px
    visible_joints: BoolArray  # (F, H, 21)
    visibility: NDArray[np.float32]  # (F, H) 0..1
    palm_in_view: BoolArray  # (F, H)

    def vertices(self, model: HandModel, frame: int, hand: int) -> Array:
        """Return the vertices (V, 3), metres, camera frame, of a hand in a frame."""
        posed = model.pose(
            self.global_orient[frame, hand].astype(np.float64), self.hand_pose[frame, hand].astype(np.float64),
            self.betas[hand].astype(np.float64), self.translation[frame, hand].astype(np.float64), self.sides[hand],
        )  # fmt: skip
        return posed.vertices

    @classmethod
    def gather(
        cls,
        frames: list[tuple[HandTruth, ...]],
        model: HandModel,
        size: tuple[int, int],
        fps: float,
        camera: Intrinsics,
    ) -> Self:
        """Gather the truth of every frame's hands; `size` is (width, height)."""

        def stack(field: str) -> NDArray[np.float32]:
            return np.array([[getattr(hand, field) for hand in hands] for hands in frames], np.float32)

        return cls(
            model.name, *size, fps, camera, tuple(hand.side for hand in frames[0]), stack("global_orient"),
            stack("hand_pose"), stack("betas")[0], stack("translation"), stack("joints"), stack("joints_2d"),
            stack("visible_joints").astype(bool), stack("visibility"), stack("palm_in_view").astype(bool),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the truth, with rotations as rotation vectors; pixels are left out, as they follow from the joints."""
        c = self.camera
        np.savez_compressed(
            path, allow_pickle=False, model=self.model, size=(self.width, self.height), fps=self.fps,
            camera=(c.fx, c.fy, c.cx, c.cy), sides=self.sides, rotations=_vectors(self._rotations()),
            betas=self.betas, translation=self.translation, joints=self.joints, visible_joints=self.visible_joints,
            visibility=self.visibility.astype(np.float16), palm_in_view=self.palm_in_view,
        )  # fmt: skip

    def _rotations(self) -> NDArray[np.float32]:
        return np.concatenate([self.global_orient[:, :, None], self.hand_pose], 2)


def _vectors(matrices: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_rotvec()
    return flat.reshape(*matrices.shape[:-2], 3).astype(np.float32)


def load_truth(path: Path) -> ClipTruth:
    """Return the truth that `make/clip.py` wrote beside its clip. Raises OSError, DocumentError."""
    data = load_arrays(path)
    try:
        return _truth_of(data)
    except (KeyError, IndexError, TypeError, ValueError, HambaError) as error:
        raise DocumentError(f"expected the arrays of a clip's truth, found: {str(error)[:200]}") from error


def _truth_of(data: Mapping[str, AnyArray]) -> ClipTruth:
    vectors = data["rotations"]
    frames, hands = vectors.shape[:2]
    shapes = {
        "rotations": (frames, hands, 16, 3), "joints": (frames, hands, 21, 3), "translation": (frames, hands, 3),
        "betas": (hands, 10), "sides": (hands,), "visible_joints": (frames, hands, 21),
        "visibility": (frames, hands), "palm_in_view": (frames, hands), "camera": (4,), "size": (2,),
    }  # fmt: skip
    for name, shape in shapes.items():
        if data[name].shape != shape:
            raise ValueError(f"{name} {data[name].shape}, where {shape} are expected")
        if name != "sides" and not (np.abs(data[name].astype(np.float64)) <= _LARGEST).all():
            raise ValueError(f"values of {name} that are not finite")
    if not set(data["sides"].tolist()) <= set(SIDES):
        raise ValueError(f"sides {data['sides'].tolist()}")
    matrices = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().astype(np.float32)
    matrices = matrices.reshape(*vectors.shape, 3)
    camera = Intrinsics(*data["camera"].tolist())
    width, height = data["size"].tolist()
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = camera.project(data["joints"]).astype(np.float32)
    return ClipTruth(
        str(data["model"]), width, height, float(data["fps"]), camera, tuple(data["sides"].tolist()),
        matrices[:, :, 0], matrices[:, :, 1:], data["betas"], data["translation"], data["joints"], pixels,
        data["visible_joints"], data["visibility"].astype(np.float32), data["palm_in_view"],
    )  # fmt: skip
