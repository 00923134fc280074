"""Made-up people: their shares of MakeHuman's targets are shares of one person, and seeds differ."""

import pytest

from stages.synthetic.crops.figure.make.people import HAND_MOST, any_targets


@pytest.mark.parametrize("seed", range(0, 60, 7))
def test_shares_of_what_makes_a_person_add_up(seed: int) -> None:
    targets = any_targets(seed)
    bodies = {name: share for name, share in targets.items() if name.startswith("macrodetails/")}
    universal = sum(share for name, share in bodies.items() if "universal" in name)
    assert universal == pytest.approx(1)
    assert sum(bodies.values()) - universal == pytest.approx(1)
    hands = [share for name, share in targets.items() if name.startswith("hands/r-hand-")]
    assert len(hands) == 3
    assert all(0 <= share <= HAND_MOST for share in hands)


def test_seeds_are_people_and_some_of_them_children() -> None:
    people = [any_targets(seed) for seed in range(60)]
    assert any_targets(3) == people[3] != people[4]
    assert 3 <= sum(any("child" in name for name in targets) for targets in people) <= 20
