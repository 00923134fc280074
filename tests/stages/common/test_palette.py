"""Hands have colours that tell them apart and stay with them."""

from collections.abc import Callable
from dataclasses import replace

from hamba_core.hand import BONES, JOINT_NAMES
from stages.common.palette import BONE_COLOURS, JOINT_COLOURS, WRIST_COLOUR, HandColours, hand_colour
from stages.packets import Hand

MakeHand = Callable[..., Hand]


def test_a_finger_has_one_colour_and_no_other_finger_has_it() -> None:
    by_finger: dict[str, set[tuple[int, int, int]]] = {}
    for name, colour in zip(JOINT_NAMES, JOINT_COLOURS, strict=True):
        by_finger.setdefault(name.partition("_")[0], set()).add(colour)
    assert all(len(colours) == 1 for colours in by_finger.values())
    assert len(set.union(*by_finger.values())) == 6
    assert JOINT_COLOURS[0] == WRIST_COLOUR
    assert BONE_COLOURS[BONES.index((0, 5))] == JOINT_COLOURS[5]


def test_the_first_hands_have_the_colours_of_their_sides(make_hand: MakeHand) -> None:
    hands = [make_hand(side="left", track_id=8), make_hand(side="right", track_id=3)]
    assert HandColours().of(hands) == [hand_colour("left"), hand_colour("right")]


def test_a_hand_keeps_its_colour_when_others_come_and_go(make_hand: MakeHand) -> None:
    colours = HandColours()
    first, second, third = (make_hand(side="right", track_id=i) for i in (5, 6, 7))
    of_first, of_second = colours.of([first, second])
    assert of_first != of_second
    assert colours.of([second]) == [of_second]
    assert colours.of([third, second]) == [of_first, of_second], "a colour that is free again is used again"
    assert colours.of([]) == []
    assert colours.of([second]) == [hand_colour("right")]


def test_a_hand_that_was_not_seen_has_its_colour_dimmed(make_hand: MakeHand) -> None:
    colours, hand = HandColours(), make_hand(side="right", track_id=3)
    (seen,), (unseen,) = colours.of([hand]), colours.of([replace(hand, seen=False)])
    assert sum(unseen) < 0.8 * sum(seen)
    assert max(unseen) - min(unseen) < max(seen) - min(seen)
    assert colours.of([hand]) == [seen]
