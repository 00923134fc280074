"""Tracks hold what was recorded, whatever came and went, in memory that does not grow."""

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from hamba_core.errors import SourceError
from hamba_core.hand import load_generic_hand
from hamba_core.hand.rotations import angle_between
from stages.export.settings import ExportSettings
from stages.export.tracks import HAND_FIELDS, Selection, Track, merge_by_time, resampled
from stages.packets import Hand

PoseHand = Callable[..., Hand]
MakeTake = Callable[..., Selection]

GENERIC = load_generic_hand()


@pytest.fixture(scope="module")
def hands(pose_hand: PoseHand) -> list[Hand]:
    return [pose_hand(GENERIC, seed) for seed in range(12)]


def test_a_track_has_a_row_for_each_frame_from_its_first_to_its_last(hands: list[Hand], make_take: MakeTake) -> None:
    there = [False, True, True, False, False, True, False]
    selection = make_take(GENERIC, [(hands[i],) if seen else () for i, seen in enumerate(there)])
    [track] = selection.tracks
    rows, vertices = track.read(0, track.rows), track.read_vertices(0, track.rows)
    assert rows["frame"].tolist() == [1, 2, 3, 4, 5]
    assert rows["valid"].tolist() == [True, True, False, False, True]
    np.testing.assert_allclose(rows["pts"], np.arange(1, 6) / 30)
    for row, mesh, index in ((0, vertices[0], 1), (4, vertices[4], 5)):
        np.testing.assert_array_equal(mesh, hands[index].vertices)
        for name in (name for name in HAND_FIELDS if name != "events"):
            np.testing.assert_array_equal(rows[name][row], np.float32(getattr(hands[index], name)))
        assert (rows["events"][row] == 0).all(), "they do nothing"
    assert np.isnan(vertices[2:4]).all()
    assert all(np.isnan(rows[name][2:4]).all() for name in HAND_FIELDS)
    assert (selection.frames, selection.rate, selection.start) == (7, 30.0, 0.0)
    assert selection.end == pytest.approx(6 / 30)


@settings(deadline=None, max_examples=20)
@given(presence=st.lists(st.sets(st.integers(1, 3)), min_size=1, max_size=40))
def test_the_hands_of_each_moment_come_together_again(
    presence: list[set[int]], pose_hand: PoseHand, make_take: MakeTake
) -> None:
    by_track = {n: pose_hand(GENERIC, n, "left" if n == 2 else "right", track_id=n) for n in (1, 2, 3)}
    frames = [tuple(by_track[n] for n in sorted(seen)) for seen in presence]
    if not any(presence):
        with pytest.raises(SourceError, match="frames without any"):
            make_take(GENERIC, frames)
        return
    selection = make_take(GENERIC, frames)

    def moments(track: Track) -> Iterator[tuple[float, int]]:
        for rows, _ in track.blocks(vertices=False):
            yield from ((float(pts), track.id) for pts in rows["pts"][rows["valid"]])

    found = {round(pts * 30): together for pts, together in merge_by_time(selection.tracks, moments)}
    assert found == {i: sorted(seen) for i, seen in enumerate(presence) if seen}


def test_a_hand_that_changes_its_side_is_two_tracks(pose_hand: PoseHand, make_take: MakeTake) -> None:
    selection = make_take(GENERIC, [(pose_hand(GENERIC, 0, "left"),), (pose_hand(GENERIC, 1, "right"),)])
    assert [(track.id, track.side, track.rows) for track in selection.tracks] == [(1, "left", 1), (1, "right", 1)]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"tracks": (2,)}, [(2, "left", 4)]),
        ({"side": "right"}, [(1, "right", 4)]),
        ({"start": 0.03, "end": 0.07}, [(1, "right", 2), (2, "left", 2)]),
    ],
)
def test_only_what_was_chosen_is_there(
    chosen: dict[str, object], expected: list[tuple[int, str, int]], pose_hand: PoseHand, make_take: MakeTake
) -> None:
    frame = (pose_hand(GENERIC, 0, "right", track_id=1), pose_hand(GENERIC, 1, "left", track_id=2))
    selection = make_take(GENERIC, [frame] * 4, ExportSettings.model_validate(chosen))
    assert [(track.id, track.side, track.rows) for track in selection.tracks] == expected


@pytest.mark.parametrize(
    ("chosen", "message"),
    [({"tracks": (9,)}, r"tracks 1 \((left|right)\), none of which was chosen"), ({"start": 9.0}, "between start")],
)
def test_choosing_nothing_is_an_error_that_says_what_there_is(
    chosen: dict[str, object], message: str, hands: list[Hand], make_take: MakeTake
) -> None:
    with pytest.raises(SourceError, match=message):
        make_take(GENERIC, [(hands[0],)], ExportSettings.model_validate(chosen))


def test_a_recording_without_vertices_has_tracks_without(hands: list[Hand], make_take: MakeTake) -> None:
    [track] = make_take(GENERIC, [(hands[0],)] * 3, vertices="none").tracks
    assert track.vertices == 0
    assert [block[1].shape for block in track.blocks()] == [(3, 0, 3)]


def test_memory_does_not_grow_with_the_length(hands: list[Hand], make_take: MakeTake, tmp_path: Path) -> None:
    peaks = []
    for frames in (300, 1200):
        tracemalloc.start()
        selection = make_take(GENERIC, [(hands[i % 12],) for i in range(frames)])
        resampled(selection, 50.0, tmp_path / str(frames))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_resampled_rows_lie_between_the_recorded_ones(hands: list[Hand], make_take: MakeTake, tmp_path: Path) -> None:
    selection = make_take(GENERIC, [(hand,) for hand in hands[:4]], fps=10.0)
    double = resampled(selection, 20.0, tmp_path)
    [track] = double.tracks
    rows, vertices = track.read(0, track.rows), track.read_vertices(0, track.rows)
    assert (rows["frame"].tolist(), bool(rows["valid"].all())) == ([0, 1, 2, 3, 4, 5, 6], True)
    np.testing.assert_allclose(rows["pts"], np.arange(7) / 20)
    np.testing.assert_array_equal(rows["joints"][::2], [hand.joints for hand in hands[:4]])
    np.testing.assert_allclose(rows["joints"][1], (hands[0].joints + hands[1].joints) / 2, atol=1e-6)
    np.testing.assert_allclose(vertices[3], (hands[1].vertices + hands[2].vertices) / 2, atol=1e-6)
    whole = angle_between(hands[0].global_orient, hands[1].global_orient)
    assert angle_between(hands[0].global_orient, rows["global_orient"][1]) == pytest.approx(whole / 2, abs=1e-3)
    assert angle_between(rows["global_orient"][1], hands[1].global_orient) == pytest.approx(whole / 2, abs=1e-3)


def test_resampling_does_not_join_what_a_gap_parts(hands: list[Hand], make_take: MakeTake, tmp_path: Path) -> None:
    frames = [(hands[0],), (hands[1],), (), (hands[3],), (hands[4],)]
    [track] = resampled(make_take(GENERIC, frames, fps=10.0), 20.0, tmp_path / "away").tracks
    assert track.read(0, 99)["valid"].tolist() == [True, True, True, False, False, False, True, True, True]
    dropped = make_take(GENERIC, [(hand,) for hand in hands[:3]], pts=[0.0, 0.1, 1.1])
    [track] = resampled(dropped, 10.0, tmp_path / "dropped").tracks
    assert track.read(0, 99)["valid"].tolist() == [True, True, *[False] * 9, True]


def test_all_tracks_are_resampled_to_the_same_moments(pose_hand: PoseHand, make_take: MakeTake, tmp_path: Path) -> None:
    first, second = pose_hand(GENERIC, 0, track_id=1), pose_hand(GENERIC, 1, "left", track_id=2)
    frames = [(first,), (first,), (first, second), (second,), (second,)]
    selection = resampled(make_take(GENERIC, frames, pts=[0.0, 0.031, 0.07, 0.1, 0.133]), 50.0, tmp_path)
    moments = [track.read(0, 99)["pts"] for track in selection.tracks]
    np.testing.assert_allclose(moments[0], [0.0, 0.02, 0.04, 0.06], atol=1e-9)
    np.testing.assert_allclose(moments[1], [0.08, 0.1, 0.12], atol=1e-9)
    assert (selection.frames, selection.rate) == (7, 50.0)


def test_nothing_that_can_be_resampled_is_an_error(hands: list[Hand], make_take: MakeTake, tmp_path: Path) -> None:
    selection = make_take(GENERIC, [(hands[0],), (), (hands[1],)], pts=[0.05, 0.1, 0.15])
    with pytest.raises(SourceError, match="leave --rate out"):
        resampled(make_take(GENERIC, [(), (hands[0],), (), ()], pts=[0.0, 0.05, 0.1, 0.15]), 10.0, tmp_path)
    assert resampled(selection, 10.0, tmp_path / "other").tracks


def test_a_track_that_lacks_the_vertices_of_a_frame_has_none(hands: list[Hand], make_take: MakeTake) -> None:
    without = replace(hands[0], vertices=np.zeros((0, 3), np.float32))
    for frames in ([(hands[0],), (without,)], [(without,), (hands[0],)]):
        selection = make_take(GENERIC, frames)
        assert [track.vertices for track in selection.tracks] == [0]
        with pytest.raises(SourceError, match="expected the vertices of all hands"):
            selection.check_vertices()
