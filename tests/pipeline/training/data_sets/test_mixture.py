"""The mixture: weights, what is kept aside, and batches that a run that goes on sees again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hamba_core.errors import ConfigurationError, SourceError
from hamba_core.network import RELEASED
from hamba_core.training import NO_AUGMENTATION, Augmentation, CropTruths
from pipeline.training.data_sets import PAPER_WEIGHTS, HandData, HandSample, MixedHands, Mixture, open_data, shown
from pipeline.training.data_sets.hand_data import NoHandError, truth_of
from stages.synthetic.crops import write_shard

from .conftest import MadeHand, made


class Made(HandData):
    """Hands that tell by their pictures which they are."""

    def __init__(self, level: int, count: int) -> None:
        self.level, self.count = level, count

    def __len__(self) -> int:
        return self.count

    def sample(self, number: int) -> HandSample:
        hand: MadeHand = made(number % 5)
        image = np.full((240, 320, 3), self.level, np.uint8)
        return HandSample(f"{self.level} {number}", image, truth_of("right", hand.joints_2d, joints=hand.joints))


SETS = {"freihand": Made(50, 200), "rhd": Made(100, 100), "hint": Made(150, 40)}


def test_hands_are_drawn_with_the_sets_weights_and_those_kept_aside_never_are() -> None:
    mixture = Mixture(SETS, {"freihand": 3, "rhd": 1}, aside=0.1)
    assert mixture.shares == pytest.approx({"freihand": 0.75, "rhd": 0.25, "hint": 0})
    names = [mixture.draw(number)[0].name.split() for number in range(1500)]
    levels, numbers = np.array([[int(word) for word in name] for name in names]).T
    assert (levels == 50).mean() == pytest.approx(0.75, abs=0.04)
    assert set(levels.tolist()) == {50, 100}
    assert numbers[levels == 50].max() == 179
    assert numbers[levels == 100].max() == 89
    aside = [sample.name for sample in mixture.kept_aside(6)]
    assert aside == ["50 180", "50 199", "100 90", "100 99", "150 36", "150 39"]


def test_the_papers_weights_are_the_default_as_shares_of_those_that_are_there() -> None:
    shares = Mixture({"freihand": SETS["freihand"], "rhd": SETS["rhd"]}).shares
    assert shares["freihand"] / shares["rhd"] == pytest.approx(PAPER_WEIGHTS["freihand"] / PAPER_WEIGHTS["rhd"])
    assert sum(shares.values()) == pytest.approx(1)


def test_the_same_numbers_give_the_same_batches_whoever_makes_them() -> None:
    hands = MixedHands(Mixture(SETS, seed=3), RELEASED, Augmentation())
    (whole,) = hands.batches([[4, 5, 6]])
    (crops, truth) = whole
    assert crops.shape == (3, 3, 256, 256)
    assert isinstance(truth, CropTruths)
    assert truth.joints.shape == (3, 21, 3)
    again = list(hands.batches([[6], [4]]))
    torch.testing.assert_close(again[0][0][0], crops[2])
    torch.testing.assert_close(again[1][1].joints_2d[0], truth.joints_2d[0])
    other = MixedHands(Mixture(SETS, seed=4), RELEASED, Augmentation())
    assert not torch.equal(other[4][0], crops[0])


class OftenEmpty(Made):
    """Every second picture has no hand, and of every third one hardly anything is known."""

    def sample(self, number: int) -> HandSample:
        if number % 2:
            raise NoHandError(f"{number}: no hand")
        sample = super().sample(number)
        known = np.zeros(21) if number % 3 == 0 else np.ones(21)
        return replace(sample, truth=sample.truth._replace(known_2d=known))


def test_pictures_without_a_hand_are_passed_over() -> None:
    mixture = Mixture({"dexycb": OftenEmpty(50, 200)}, aside=0.1)
    drawn = {int(mixture.draw(number)[0].name.split()[1]) for number in range(200)}
    assert len(drawn) > 30
    assert all(number % 2 == 0 and number % 3 for number in drawn)
    assert [sample.name for sample in mixture.kept_aside(20)] == [f"50 {n}" for n in (182, 184, 188, 190, 194, 196)]

    class Empty(Made):
        def sample(self, number: int) -> HandSample:
            raise NoHandError(f"{number}: no hand")

    empty = Mixture({"rhd": Empty(50, 20)})
    with pytest.raises(SourceError, match="expected hands to learn from, found none"):
        empty.draw(0)
    with pytest.raises(SourceError, match="expected hands to keep aside"):
        empty.kept_aside(4)


@pytest.mark.slow
def test_worker_processes_give_the_same_batches() -> None:
    hands = MixedHands(Mixture(SETS, seed=3), RELEASED, Augmentation())
    numbers = [[0, 1], [2, 3], [4, 5]]
    for own, theirs in zip(hands.batches(numbers), hands.batches(numbers, workers=2), strict=True):
        torch.testing.assert_close(own[0], theirs[0])


def test_rendered_crops_are_a_data_set_of_the_generic_hand(tmp_path: Path) -> None:
    write_shard(tmp_path / "crops_000000000.npz", range(3))
    write_shard(tmp_path / "crops_000000003.npz", range(3, 5))
    (data,) = open_data({"rendered": tmp_path}).values()
    assert len(data) == 5
    for number in range(5):
        sample = data.sample(number)
        _, truth = shown(sample, RELEASED)
        assert float(truth.parameters_known) == 1
        assert float(truth.visible.mean()) == 1  # twice the box of the joints has them all in it
        assert 0.18 < float(truth.joints_2d.abs().amax()) < 0.2501
    names = [data.sample(number).name for number in (2, 3)]
    assert names == ["crops_000000000 2", "crops_000000003 0"]


def test_colours_are_normalised_as_the_network_expects() -> None:
    crop, _ = MixedHands(Mixture({"rhd": SETS["rhd"]}), RELEASED, NO_AUGMENTATION)[0]
    expected = (100 / 255 - torch.tensor(RELEASED.mean)) / torch.tensor(RELEASED.std)
    torch.testing.assert_close(crop[:, 128, 128], expected)


@pytest.mark.parametrize("weights", [{"mano": 1.0}, {"rhd": -1.0}, {"freihand": 0.0}])
def test_weights_that_make_no_mixture_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="weights: expected"):
        Mixture({"rhd": SETS["rhd"]}, weights)


def test_a_set_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"expected some of freihand.*found panoptic"):
        open_data({"panoptic": tmp_path})
