"""The hand model and the crop's camera in two kernels: joints and transforms of a hand, then any of its vertices."""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

from hamba_core.hand import JOINTS_FROM_MODEL, HandLayer
from hamba_core.network import launching
from hamba_core.network.configuration import CROP_SIZE
from hamba_core.network.early_start import begin_kernel
from hamba_core.network.heads import HandParameters, rotations_from_6d
from hamba_core.network.output import HambaOutput, seen_through_crop

_MODEL_JOINTS = 16
_BETAS, _FEATURES = 10, 135
_TEMPLATE, _FIRST_FEATURE = _BETAS, 16
"""Rows of `directions`: the betas', the template's, from this one on the pose features'."""

_VERTICES, _STEP = 32, 16
"""Vertices that a program poses; rows of `directions` that it sums up at a time."""


class PosedHands:
    """It takes a read-out's numbers to hands.

    What a vertex at rest is made of is one matrix: shape directions, template, pose correctives. With `vertices` false
    only the five tips are posed, which the joints need; the answer has no vertices then.
    """

    def __init__(self, layer: HandLayer, focal_length: float, *, vertices: bool) -> None:
        device = layer.template.device
        self.layer, self.focal_length, self.vertices = layer, focal_length, vertices
        count = len(layer.template) // 3
        correctives = 0 if layer.posedirs is None else _FEATURES
        rows = -(-(_FIRST_FEATURE + correctives) // _STEP) * _STEP
        directions = torch.zeros(rows, count, 3, device=device)
        directions[:_BETAS] = layer.shapedirs.view(_BETAS, -1, 3)
        directions[_TEMPLATE] = layer.template.view(-1, 3)
        if layer.posedirs is not None:
            directions[_FIRST_FEATURE : _FIRST_FEATURE + _FEATURES] = layer.posedirs.view(_FEATURES, -1, 3)
        kept = torch.arange(count, device=device) if vertices else layer.tips
        self.directions = directions[:, kept].movedim(2, 1).contiguous()  # (rows, 3, V)
        self.weights = layer.weights[kept].T.contiguous()  # (16, V)
        self.joint_directions = torch.cat([layer.joint_shapedirs, layer.joint_template[None]])  # (11, 48)
        place = torch.argsort(torch.tensor(JOINTS_FROM_MODEL, device=device)).int()
        self.places = place  # in the joint order, of the model's joints and the tips
        of_vertex = torch.full((count,), -1, dtype=torch.int32, device=device)
        of_vertex[layer.tips] = place[_MODEL_JOINTS:]
        self.joint_of_vertex = of_vertex[kept]

    def __call__(self, numbers: Tensor, *, fused: bool, initial: HambaOutput | None = None) -> HambaOutput:
        """Pose hands: read-outs (B, 96 + 10 + 3) float32, 6D rotations, betas, camera; see `HambaOutput`."""
        return self._fused(numbers, initial) if fused else self._plain(numbers, initial)

    def _plain(self, numbers: Tensor, initial: HambaOutput | None) -> HambaOutput:
        pose, betas, camera = torch.split(numbers, [96, _BETAS, 3], 1)
        parameters = HandParameters(rotations_from_6d(pose.reshape(-1, _MODEL_JOINTS, 6)), betas, camera)
        return seen_through_crop(self.layer, self.focal_length, parameters, initial)

    def _fused(self, numbers: Tensor, initial: HambaOutput | None) -> HambaOutput:
        batch, device = len(numbers), numbers.device
        rows, _, count = self.directions.shape

        def empty(*shape: int) -> Tensor:
            return torch.empty(batch, *shape, device=device)

        rotations, transforms, coefficients = empty(_MODEL_JOINTS, 3, 3), empty(_MODEL_JOINTS, 12), empty(rows)
        translation, joints, joints_2d = empty(3), empty(21, 3), empty(21, 2)
        vertices = empty(count if self.vertices else 0, 3)
        launching.launch(
            _pose, (batch,), numbers, self.joint_directions, self.places, rotations, transforms, coefficients,
            translation, joints, joints_2d, self.focal_length, CROP=CROP_SIZE, ROWS=rows,
            FEATURES=rows > _FIRST_FEATURE, num_warps=1,
        )  # fmt: skip
        launching.launch(
            _skin, (triton.cdiv(count, _VERTICES), batch), self.directions, coefficients, self.weights, transforms,
            translation, self.joint_of_vertex, vertices, joints, joints_2d, count, self.focal_length,
            KEEP=self.vertices, CROP=CROP_SIZE, ROWS=rows, STEP=_STEP, VERTICES=_VERTICES, num_warps=4,
        )  # fmt: skip
        betas, camera = numbers[:, 96:106], numbers[:, 106:]
        return HambaOutput(
            camera, translation, rotations[:, 0], rotations[:, 1:], betas, joints, vertices, joints_2d, initial
        )


@triton.jit
def _rotation(at, known):  # type: ignore[no-untyped-def]
    """Load 6D rotations: two columns, made orthogonal and of length 1, and their cross product."""
    ax, ay, az = tl.load(at, known, 1.0), tl.load(at + 1, known, 0.0), tl.load(at + 2, known, 0.0)
    bx, by, bz = tl.load(at + 3, known, 0.0), tl.load(at + 4, known, 1.0), tl.load(at + 5, known, 0.0)
    length = tl.maximum(tl.sqrt(ax * ax + ay * ay + az * az), 1e-12)
    ax, ay, az = ax / length, ay / length, az / length
    along = ax * bx + ay * by + az * bz
    bx, by, bz = bx - along * ax, by - along * ay, bz - along * az
    length = tl.maximum(tl.sqrt(bx * bx + by * by + bz * bz), 1e-12)
    bx, by, bz = bx / length, by / length, bz / length
    return ax, ay, az, bx, by, bz, ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@triton.jit
def _rest(betas_at, directions_at, joint, known):  # type: ignore[no-untyped-def]
    """Return where joints of the shaped hand are at rest."""
    at = directions_at + 3 * joint
    x, y, z = tl.load(at + 480, known, 0.0), tl.load(at + 481, known, 0.0), tl.load(at + 482, known, 0.0)
    for i in range(10):
        beta = tl.load(betas_at + i)
        x += beta * tl.load(at + 48 * i, known, 0.0)
        y += beta * tl.load(at + 48 * i + 1, known, 0.0)
        z += beta * tl.load(at + 48 * i + 2, known, 0.0)
    return x, y, z


@triton.jit  # type: ignore[untyped-decorator]
def _see(points_at, seen_at, place, x, y, z, tx, ty, tz, focal, known, CROP: tl.constexpr):  # type: ignore[no-untyped-def]
    """Store joints and where the crop's camera sees them."""
    tl.store(points_at + 3 * place, x, known)
    tl.store(points_at + 3 * place + 1, y, known)
    tl.store(points_at + 3 * place + 2, z, known)
    tl.store(seen_at + 2 * place, (x + tx) / (z + tz) * (focal / CROP), known)
    tl.store(seen_at + 2 * place + 1, (y + ty) / (z + tz) * (focal / CROP), known)


@triton.jit  # type: ignore[untyped-decorator]
def _keep(rotations_at, coefficients_at, joint, r0, r1, r2, r3, r4, r5, r6, r7, r8, known, FEATURES: tl.constexpr):  # type: ignore[no-untyped-def]
    """Store rotations, given column by column, and what they add to the coefficients: themselves less the identity."""
    at = rotations_at + 9 * joint
    tl.store(at, r0, known)
    tl.store(at + 3, r1, known)
    tl.store(at + 6, r2, known)
    tl.store(at + 1, r3, known)
    tl.store(at + 4, r4, known)
    tl.store(at + 7, r5, known)
    tl.store(at + 2, r6, known)
    tl.store(at + 5, r7, known)
    tl.store(at + 8, r8, known)
    if FEATURES:
        at, known = coefficients_at + 16 + 9 * (joint - 1), known & (joint > 0)
        tl.store(at, r0 - 1.0, known)
        tl.store(at + 3, r1, known)
        tl.store(at + 6, r2, known)
        tl.store(at + 1, r3, known)
        tl.store(at + 4, r4 - 1.0, known)
        tl.store(at + 7, r5, known)
        tl.store(at + 2, r6, known)
        tl.store(at + 5, r7, known)
        tl.store(at + 8, r8 - 1.0, known)


@triton.jit
def _transform(at, joint, g0, g1, g2, g3, g4, g5, g6, g7, g8, px, py, pz, rx, ry, rz, known):  # type: ignore[no-untyped-def]
    """Store the columns of a joint's rotation in the world, and how it moves the origin: p - G rest."""
    at += 12 * joint
    tl.store(at, g0, known)
    tl.store(at + 1, g1, known)
    tl.store(at + 2, g2, known)
    tl.store(at + 3, g3, known)
    tl.store(at + 4, g4, known)
    tl.store(at + 5, g5, known)
    tl.store(at + 6, g6, known)
    tl.store(at + 7, g7, known)
    tl.store(at + 8, g8, known)
    tl.store(at + 9, px - (g0 * rx + g3 * ry + g6 * rz), known)
    tl.store(at + 10, py - (g1 * rx + g4 * ry + g7 * rz), known)
    tl.store(at + 11, pz - (g2 * rx + g5 * ry + g8 * rz), known)


@triton.jit  # type: ignore[untyped-decorator]
def _pose(  # type: ignore[no-untyped-def]
    numbers_at, directions_at, places_at, rotations_at, transforms_at, coefficients_at, translation_at, joints_at,
    seen_at, focal, CROP: tl.constexpr, ROWS: tl.constexpr, FEATURES: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """Pose one hand: every lane is a finger, which walks outwards from the wrist."""
    begin_kernel(EARLY)
    b = tl.program_id(0)
    numbers_at += 109 * b
    rotations_at += 144 * b
    transforms_at += 192 * b
    coefficients_at += ROWS * b
    joints_at += 63 * b
    seen_at += 42 * b
    betas_at = numbers_at + 96
    finger = tl.arange(0, 8)
    known, first = finger < 5, finger == 0

    i = tl.arange(0, 16)
    coefficient = tl.load(betas_at + i, i < 10, 0.0)
    tl.store(coefficients_at + i, tl.where(i == 10, 1.0, coefficient))
    if FEATURES:
        # The last rows are there to fill the matrix up: 16 + 135 of them have a meaning.
        tl.store(coefficients_at + 151 + i, tl.zeros((16,), tl.float32), 151 + i < ROWS)

    s, tx, ty = tl.load(numbers_at + 106), tl.load(numbers_at + 107), tl.load(numbers_at + 108)
    tz = 2.0 * focal / (CROP * s + 1e-9)
    tl.store(translation_at + 3 * b, tx)
    tl.store(translation_at + 3 * b + 1, ty)
    tl.store(translation_at + 3 * b + 2, tz)

    wrist = finger * 0
    g0, g1, g2, g3, g4, g5, g6, g7, g8 = _rotation(numbers_at + 6 * wrist, known)
    px, py, pz = _rest(betas_at, directions_at, wrist, known)
    rx, ry, rz = px, py, pz
    _keep(rotations_at, coefficients_at, wrist, g0, g1, g2, g3, g4, g5, g6, g7, g8, first, False)
    _transform(transforms_at, wrist, g0, g1, g2, g3, g4, g5, g6, g7, g8, px, py, pz, rx, ry, rz, first)
    _see(joints_at, seen_at, tl.load(places_at + wrist), px, py, pz, tx, ty, tz, focal, first, CROP)
    for level in tl.static_range(3):
        joint = 1 + 3 * finger + level
        l0, l1, l2, l3, l4, l5, l6, l7, l8 = _rotation(numbers_at + 6 * joint, known)
        nx, ny, nz = _rest(betas_at, directions_at, joint, known)
        bx, by, bz = nx - rx, ny - ry, nz - rz
        px += g0 * bx + g3 * by + g6 * bz
        py += g1 * bx + g4 * by + g7 * bz
        pz += g2 * bx + g5 * by + g8 * bz
        # The world's rotation times the joint's own, column by column.
        h0, h1, h2 = g0 * l0 + g3 * l1 + g6 * l2, g1 * l0 + g4 * l1 + g7 * l2, g2 * l0 + g5 * l1 + g8 * l2
        h3, h4, h5 = g0 * l3 + g3 * l4 + g6 * l5, g1 * l3 + g4 * l4 + g7 * l5, g2 * l3 + g5 * l4 + g8 * l5
        h6, h7, h8 = g0 * l6 + g3 * l7 + g6 * l8, g1 * l6 + g4 * l7 + g7 * l8, g2 * l6 + g5 * l7 + g8 * l8
        g0, g1, g2, g3, g4, g5, g6, g7, g8 = h0, h1, h2, h3, h4, h5, h6, h7, h8
        rx, ry, rz = nx, ny, nz
        _keep(rotations_at, coefficients_at, joint, l0, l1, l2, l3, l4, l5, l6, l7, l8, known, FEATURES)
        _transform(transforms_at, joint, g0, g1, g2, g3, g4, g5, g6, g7, g8, px, py, pz, rx, ry, rz, known)
        _see(joints_at, seen_at, tl.load(places_at + joint, known, 0), px, py, pz, tx, ty, tz, focal, known, CROP)


@triton.jit
def _mean(transforms_at, j, number, weights):  # type: ignore[no-untyped-def]
    """Return one number of the vertices' mean transforms."""
    return tl.sum(weights * tl.load(transforms_at + 12 * j + number)[:, None], 0)


@triton.jit  # type: ignore[untyped-decorator]
def _skin(  # type: ignore[no-untyped-def]
    directions_at, coefficients_at, weights_at, transforms_at, translation_at, joint_of_vertex_at, vertices_at,
    joints_at, seen_at, count, focal,
    KEEP: tl.constexpr, CROP: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr, VERTICES: tl.constexpr,
    EARLY: tl.constexpr,
):  # fmt: skip
    begin_kernel(EARLY)
    b = tl.program_id(1)
    v, k, j = tl.program_id(0) * VERTICES + tl.arange(0, VERTICES), tl.arange(0, STEP), tl.arange(0, 16)
    known = v < count
    x, y, z = (tl.zeros((VERTICES,), tl.float32),) * 3
    for first in range(0, ROWS, STEP):
        coefficient = tl.load(coefficients_at + ROWS * b + first + k)[:, None]
        at = directions_at + (first + k)[:, None] * 3 * count + v[None, :]
        x += tl.sum(coefficient * tl.load(at, known[None, :], 0.0), 0)
        y += tl.sum(coefficient * tl.load(at + count, known[None, :], 0.0), 0)
        z += tl.sum(coefficient * tl.load(at + 2 * count, known[None, :], 0.0), 0)
    transforms_at += 192 * b
    weights = tl.load(weights_at + j[:, None] * count + v[None, :], known[None, :], 0.0)
    px = _mean(transforms_at, j, 9, weights) + _mean(transforms_at, j, 0, weights) * x
    px += _mean(transforms_at, j, 3, weights) * y + _mean(transforms_at, j, 6, weights) * z
    py = _mean(transforms_at, j, 10, weights) + _mean(transforms_at, j, 1, weights) * x
    py += _mean(transforms_at, j, 4, weights) * y + _mean(transforms_at, j, 7, weights) * z
    pz = _mean(transforms_at, j, 11, weights) + _mean(transforms_at, j, 2, weights) * x
    pz += _mean(transforms_at, j, 5, weights) * y + _mean(transforms_at, j, 8, weights) * z
    if KEEP:
        at = vertices_at + (b * count + v) * 3
        tl.store(at, px, known)
        tl.store(at + 1, py, known)
        tl.store(at + 2, pz, known)
    place = tl.load(joint_of_vertex_at + v, known, -1)
    tx, ty, tz = (
        tl.load(translation_at + 3 * b),
        tl.load(translation_at + 3 * b + 1),
        tl.load(translation_at + 3 * b + 2),
    )
    _see(joints_at + 63 * b, seen_at + 42 * b, place, px, py, pz, tx, ty, tz, focal, place >= 0, CROP)
