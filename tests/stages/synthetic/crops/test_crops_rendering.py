"""Light and drawing: what is in the way makes dark, edges are shared, cameras degrade."""

import numpy as np

from hamba_core.view import Intrinsics
from stages.synthetic.crops.posing import Thing
from stages.synthetic.crops.rendering import (
    Canvas,
    Lights,
    Part,
    Spot,
    any_background,
    developed,
    draw,
    moved,
    solid_scene,
)
from stages.synthetic.crops.rendering.degradation import streak
from stages.synthetic.crops.rendering.lights import lamp_share, room_light

CAMERA = Intrinsics(100, 100, 50, 50)
CANVAS = Canvas(0, 0, 100, 100, 1)
LAMP = Lights(
    towards=np.array([0.0, 0, -1]), lamp=np.ones(3, np.float32), softness=0.01, up=np.array([0.0, -1, 0]),
    above=np.full(3, 0.2, np.float32), below=np.full(3, 0.2, np.float32), windows=np.zeros((0, 3)),
    window_colours=np.zeros((0, 3), np.float32), narrowness=np.zeros(0, np.float32),
)  # fmt: skip


def grey(spot: Spot) -> tuple[np.ndarray, np.ndarray]:
    return np.full((len(spot.faces), 3), 0.5, np.float32), np.zeros(len(spot.faces), np.float32)


def part(thing: Thing) -> Part:
    mesh = thing.mesh()
    return Part(mesh.vertices, mesh.normals, mesh.faces, mesh.local.astype(np.float32), "hand", False, grey)


def box(half: tuple[float, float, float], centre: tuple[float, float, float]) -> Thing:
    return Thing("box", np.array(half), np.eye(3), np.array(centre))


def drawn(*things: Thing) -> np.ndarray:
    parts = [part(thing) for thing in things]
    wanted = np.ones((100, 100), bool)
    rng = np.random.default_rng(0)
    return draw(parts, solid_scene(parts), LAMP, CAMERA, CANVAS, wanted, rng).layer


def test_a_box_covers_the_cells_that_its_projection_covers() -> None:
    layer = drawn(box((0.1, 0.05, 0.01), (0.0, 0.0, 0.51)))
    # Its front is at 0.5 m: 40 x 20 pixels around the middle.
    assert np.isclose(layer[..., 3].sum(), 800, rtol=0.01)
    rows, columns = np.nonzero(layer[..., 3] > 0.5)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 59, 30, 69)


def test_outlines_are_shared_between_cells() -> None:
    layer = drawn(Thing("ball", np.full(3, 0.1), np.eye(3), np.array([0.013, 0.007, 0.5])))
    share = layer[..., 3]
    assert ((share > 0) & (share < 1)).sum() > 20
    # The outline of a ball is a cone's; seen from the middle nearly a circle of this radius.
    radius = 100 * np.tan(np.arcsin(0.1 / np.linalg.norm([0.013, 0.007, 0.5])))
    assert np.isclose(share.sum(), np.pi * radius**2, rtol=0.02)


def test_only_wanted_cells_are_drawn() -> None:
    parts = [part(box((0.1, 0.1, 0.01), (0, 0, 0.5)))]
    wanted = np.zeros((100, 100), bool)
    wanted[:, 50:] = True
    layer = draw(parts, solid_scene(parts), LAMP, CAMERA, CANVAS, wanted, np.random.default_rng(0)).layer
    assert layer[:, 51:, 3].any()
    assert not layer[:, :49, 3].any()


def test_a_thing_throws_its_shadow_on_what_is_behind_it() -> None:
    wall = box((0.4, 0.4, 0.01), (0, 0, 0.8))
    alone, together = drawn(wall), drawn(wall, box((0.05, 0.05, 0.005), (0, 0, 0.6)))
    # The lamp is where the camera is, so that the shadow hides behind the thing: move the lamp.
    aside = Lights(**(vars(LAMP) | {"towards": np.array([0.6, 0, -0.8])}))
    parts = [part(wall), part(box((0.05, 0.05, 0.005), (0, 0, 0.6)))]
    wanted = np.ones((100, 100), bool)
    shadowed = draw(parts, solid_scene(parts), aside, CAMERA, CANVAS, wanted, np.random.default_rng(0)).layer
    assert np.allclose(alone[50, 10], together[50, 10], rtol=0.02)
    row = shadowed[50, :, 0]
    assert row[25:32].min() < 0.5 * np.median(row)


def test_the_room_is_darker_in_a_corner_and_the_lamp_does_not_reach_behind() -> None:
    scene = solid_scene([part(box((0.2, 0.2, 0.01), (0, 0, 0.6)))])
    points = np.array([[0.0, 0, 0.55], [0.0, 0, 0.65]])
    towards_box, away = np.array([[0.0, 0, 1], [0.0, 0, -1]]), np.array([[0.0, 0, -1], [0.0, 0, 1]])
    rng = np.random.default_rng(0)
    assert (room_light(scene, LAMP, points, towards_box, rng) < room_light(scene, LAMP, points, away, rng)).all()
    pattern = np.zeros((2, 2), np.float32)
    seen = lamp_share(scene, LAMP, points.astype(np.float32), away.astype(np.float32), pattern)
    assert seen.tolist() == [1, 0]


def test_backgrounds_differ_and_are_light_that_a_camera_can_take() -> None:
    pictures = [any_background(np.random.default_rng(seed), (60, 80)) for seed in range(25)]
    for picture in pictures:
        assert picture.shape == (60, 80, 3)
        assert picture.dtype == np.float32
        assert (picture > 0).all()
        assert (picture <= 1.5).all()
    means = np.array([picture.mean((0, 1)) for picture in pictures])
    assert np.linalg.norm(means[:, None] - means[None], axis=2)[np.triu_indices(25, 1)].min() > 1e-4


def test_exposure_brings_dark_and_bright_scenes_to_like_tones() -> None:
    light = np.random.default_rng(0).uniform(0.1, 0.9, (40, 40, 3)).astype(np.float32)
    covered = np.ones((40, 40), np.float32)
    dark = developed(light * np.float32(0.05), covered, 100, np.random.default_rng(1))
    bright = developed(light * np.float32(3), covered, 100, np.random.default_rng(1))
    assert dark.dtype == np.uint8
    assert abs(float(dark.mean()) - float(bright.mean())) < 25


def test_a_streak_smears_along_its_direction_and_keeps_the_light() -> None:
    kernel = streak(9.0, 0.0)
    assert np.isclose(kernel.sum(), 1)
    middle = kernel.shape[0] // 2
    assert np.isclose(kernel[middle - 1 : middle + 2].sum(), 1)
    layers = [moved(np.ones((30, 30, 4), np.float32), 100, np.random.default_rng(seed)) for seed in range(8)]
    assert all(np.allclose(layer, 1, atol=1e-5) for layer in layers)
