"""The held-out scenes: nobody else's seeds, and truth that stays exact whatever a view does to the picture."""

from itertools import islice

import numpy as np
import pytest

from hamba_core.errors import ConfigurationError
from pipeline.evaluation.scenes import VIEWS, View, held_out_scenes, views_in
from stages.reconstruction.landmarks.make.offsets import SEEDS
from stages.synthetic import HELD_OUT_SEEDS
from stages.synthetic.make.clip import SETTINGS

SIZE = (160, 120)


def test_seeds_are_held_out_from_what_was_fitted_and_from_the_shipped_clip() -> None:
    assert not set(HELD_OUT_SEEDS) & {*SEEDS, SETTINGS.seed}


def test_a_scene_is_the_same_whatever_else_is_measured() -> None:
    alone = held_out_scenes(1, views=("dark",))[0]
    beside = next(scene for scene in held_out_scenes(4) if scene.view == "dark")
    assert alone.seed == beside.seed
    seeds = [scene.seed for scene in held_out_scenes(15)]
    assert len(set(seeds)) == len(seeds)
    assert set(seeds) <= set(HELD_OUT_SEEDS)


def test_more_scenes_than_held_out_seeds_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="100 seeds that are held out"):
        held_out_scenes(90)


def test_indices_and_times_rise_from_scene_to_scene() -> None:
    first, second = held_out_scenes(2, 0.1, ("plain",), SIZE)
    metas = [frame.meta for scene in (first, second) for frame, _ in scene.frames()]
    assert [meta.index for meta in metas] == list(range(6))
    steps = np.diff([meta.pts for meta in metas])
    assert np.delete(steps, 2) == pytest.approx(np.full(4, 1 / 30))
    assert steps[2] > 2


@pytest.mark.parametrize("view", VIEWS)
def test_truth_is_where_the_views_camera_sees_it(view: View) -> None:
    (scene,) = held_out_scenes(1, 0.1, (view,), SIZE)
    (frame, hands), *_ = scene.frames()
    assert frame.image.shape == (frame.meta.height, frame.meta.width, 3)
    for hand in hands:
        assert hand.joints_2d == pytest.approx(frame.meta.camera.project(hand.joints))
        inside = ((hand.joints_2d >= 0) & (hand.joints_2d < (frame.meta.width, frame.meta.height))).all(-1)
        assert not (hand.visible_joints & ~inside).any()
        assert 0 <= hand.visibility <= 1


def test_the_views_make_pictures_narrower_smaller_and_darker() -> None:
    def first(view: View) -> tuple[np.ndarray, float, float]:
        (scene,) = held_out_scenes(1, 0.1, (view,), SIZE)
        frame, hands = next(scene.frames())
        return frame.image, float(np.ptp(hands[0].joints_2d, axis=0).max()), hands[0].visibility

    assert first("narrow")[0].shape[1] == pytest.approx(160 * np.tan(np.radians(25)) / np.tan(np.radians(30)), abs=1)
    assert first("small")[1] < 0.5 * first("plain")[1]
    assert first("dark")[0].mean() < 0.6 * first("plain")[0].mean()
    assert first("cut")[2] < 0.99


def test_the_fast_view_is_the_same_dance_at_twice_the_speed() -> None:
    from stages.synthetic import SyntheticSettings, SyntheticSource

    (scene,) = held_out_scenes(1, 0.2, ("fast",), SIZE)
    source = SyntheticSource(SyntheticSettings(seed=scene.seed, width=160, height=120))
    source.open()
    for number, (_, hands) in enumerate(islice(scene.frames(), 3)):
        for hand, same in zip(hands, source.truth(number / 15), strict=True):
            assert hand.joints == pytest.approx(same.joints)
    source.close()


def test_views_are_named_with_commas() -> None:
    assert views_in(None) == VIEWS
    assert views_in("dark, plain") == ("dark", "plain")
    with pytest.raises(ConfigurationError, match="'bright'"):
        views_in("bright")
