"""Rendered hands are where a ray caster sees them, the nearest in front."""

from collections.abc import Callable

import numpy as np
import open3d as o3d
import pytest
from numpy.typing import NDArray

from hamba_core.view import Intrinsics
from stages.overlay.rendering import Mesh, draw_meshes, view_of
from stages.packets import Hand, HandTopology

MakeHand = Callable[..., Hand]
WIDTH, HEIGHT = 320, 240
CAMERA = Intrinsics.from_field_of_view(1.0, WIDTH, HEIGHT)


def ray_cast(
    meshes: list[tuple[NDArray[np.float32], NDArray[np.int32]]],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Depth (H, W), infinite where nothing is, and the number of the mesh seen."""
    scene = o3d.t.geometry.RaycastingScene()
    for vertices, faces in meshes:
        scene.add_triangles(
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(vertices)),
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(faces, np.uint32)),
        )
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    directions = CAMERA.rays(np.stack([columns + 0.5, rows + 0.5], -1))
    rays = np.concatenate([np.zeros_like(directions), directions], -1).astype(np.float32)
    answer = scene.cast_rays(o3d.core.Tensor.from_numpy(rays))
    return answer["t_hit"].numpy(), answer["geometry_ids"].numpy().astype(np.int64)


def rastered(
    meshes: list[tuple[NDArray[np.float32], NDArray[np.int32]]],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The same by our rasteriser."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    vertices = np.concatenate([vertices for vertices, _ in meshes])
    faces = np.concatenate([faces + start for (_, faces), start in zip(meshes, starts, strict=False)])
    owner = np.repeat(np.arange(len(meshes)), [len(vertices) for vertices, _ in meshes])
    values = np.stack([1 / vertices[:, 2], owner], 1).astype(np.float32)  # 1 / z is what is linear in a picture
    view = view_of(vertices, faces.astype(np.int32), values, CAMERA, WIDTH, HEIGHT)
    depth = np.full((HEIGHT, WIDTH), np.inf, np.float32)
    numbers = np.full((HEIGHT, WIDTH), -1, np.int64)
    if view is not None:
        assert view.seen.shape == (view.height, view.width), "not coarser than the picture here"
        part = np.s_[view.top : view.top + view.height, view.left : view.left + view.width]
        depth[part] = np.where(view.seen, 1 / np.where(view.seen, view.values[0], 1), np.inf)
        numbers[part] = np.where(view.seen, np.round(view.values[1]), -1)
    return depth, numbers


@pytest.mark.parametrize("seed", range(6))
def test_hands_that_overlap_are_seen_as_a_ray_caster_sees_them(
    seed: int, make_hand: MakeHand, topology: HandTopology
) -> None:
    random = np.random.default_rng(seed)
    right = make_hand(seed, "right", translation=(*random.uniform(-0.06, 0.06, 2), 0.35))
    left = make_hand(seed + 50, "left", translation=(*random.uniform(-0.06, 0.06, 2), 0.45))
    meshes = [(hand.vertices, topology.faces_of(hand.side)) for hand in (right, left)]
    true_depth, true_number = ray_cast(meshes)
    depth, number = rastered(meshes)
    seen, truly_seen = np.isfinite(depth), np.isfinite(true_depth)
    # The cut wrist is open: a ray caster sees the inside of the other wall through it, we show outsides only.
    assert (seen & truly_seen).sum() / (seen | truly_seen).sum() > 0.98
    both = seen & truly_seen
    assert (number[both] == true_number[both]).mean() > 0.99
    assert np.median(np.abs(depth[both] - true_depth[both])) < 1e-4
    assert (np.abs(depth[both] - true_depth[both]) < 2e-3).mean() > 0.98


def test_faces_that_look_away_are_not_drawn() -> None:
    vertices = np.array([[-0.1, -0.1, 0.5], [-0.1, 0.1, 0.5], [0.1, 0, 0.5]], np.float32)
    front = np.array([[0, 1, 2]], np.int32)
    values = np.ones((3, 1), np.float32)
    views = [view_of(vertices, faces, values, CAMERA, WIDTH, HEIGHT) for faces in (front, front[:, ::-1])]
    assert [view is not None for view in views] == [True, False]


def test_only_the_part_of_the_picture_with_hands_changes(make_hand: MakeHand, topology: HandTopology) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    before = picture.copy()
    hand = make_hand(camera=CAMERA)
    draw_meshes(picture, [Mesh(hand.vertices, topology.faces_right, (255, 0, 0))], CAMERA)
    pixels = CAMERA.project(hand.vertices)
    left, top = (np.floor(pixels.min(0)) - 3).astype(int)
    right, bottom = (np.ceil(pixels.max(0)) + 3).astype(int)
    changed = (picture != before).any(2)
    assert changed.any()
    changed[max(top, 0) : bottom, max(left, 0) : right] = False
    assert not changed.any()


def test_the_picture_shows_through_as_opacity_says(make_hand: MakeHand, topology: HandTopology) -> None:
    hand = make_hand(camera=CAMERA)
    mesh = Mesh(hand.vertices, topology.faces_right, (200, 100, 50))
    pictures = []
    for grey in (0, 255):
        picture = np.full((HEIGHT, WIDTH, 3), grey, np.uint8)
        draw_meshes(picture, [mesh], CAMERA, opacity=0.75)
        pictures.append(picture.astype(int))
    palm = np.round(CAMERA.project(hand.joints[[0, 9]]).mean(0)).astype(int)
    through = pictures[1][palm[1], palm[0]] - pictures[0][palm[1], palm[0]]
    np.testing.assert_allclose(through, 255 * 0.25, atol=2)


@pytest.mark.parametrize(
    "translation", [(0, 0, -0.5), (5, 0, 0.5), (0, 0, 0.01), (0.1, 0, 0.06), (0, 0, 50), (0.17, -0.1, 0.4)]
)
def test_hands_anywhere_are_drawn_or_left_out(
    make_hand: MakeHand, topology: HandTopology, translation: tuple[float, float, float]
) -> None:
    """Behind the camera, out of view, around the camera, across it, far away, half in view."""
    hand = make_hand(vertices=True)
    vertices = hand.vertices - hand.translation + np.array(translation, np.float32)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    draw_meshes(picture, [Mesh(vertices.astype(np.float32), topology.faces_right, (255, 255, 255))], CAMERA)
    in_view = translation in {(0.17, -0.1, 0.4), (0, 0, 50), (0.1, 0, 0.06)}
    assert not picture.any() or in_view


def test_a_large_picture_costs_no_more_than_its_raster(make_hand: MakeHand, topology: HandTopology) -> None:
    camera = Intrinsics.from_field_of_view(1.0, 8000, 6000)
    hand = make_hand(translation=(0, 0.05, 0.3), camera=camera)
    values = np.ones((len(hand.vertices), 1), np.float32)
    view = view_of(hand.vertices, topology.faces_right, values, camera, 8000, 6000)
    assert view is not None
    assert view.width * view.height > 5_000_000
    assert view.seen.size < 200_000
    assert view.seen.mean() > 0.1
