"""Gestures from 21 points: laws of symmetry on any points, and drawn hands in every attitude."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from omnistream_nodes.hand_shape import GESTURES, classify, heading_deg, stretched

SWAPPED = {"point_left": "point_right", "point_right": "point_left"}
any_points = arrays(np.float64, (21, 3), elements=st.floats(-100, 100, allow_subnormal=False))


def drawn(extended: set[int], turn_deg: float = 0.0) -> np.ndarray:
    """A right hand, its back to us, fingers up, each of 0 (thumb) to 4 stretched or folded; then turned clockwise."""
    points = np.zeros((21, 3))
    points[1] = (-30, -30, 0)
    for n, out in ((2, (-45, -55, 0)), (3, (-55, -85, 0)), (4, (-62, -112, 0))):
        points[n] = out if 0 in extended else points[1] + (n - 1) * np.array([12, -14, 4])
    if 0 in extended and extended == {0}:
        points[2:5] = [(-30, -70, 0), (-30, -170, 0), (-30, -270, 0)]
    for finger in range(1, 5):
        knuckle = 1 + 4 * finger
        points[knuckle] = (-45 + 22 * finger, -100, 0)
        bends = (0, 4, 6) if finger in extended else (60, 160, 240)
        for n, bend in enumerate(bends):
            way = np.array([0, -math.cos(math.radians(bend)), -math.sin(math.radians(bend))])
            points[knuckle + n + 1] = points[knuckle + n] + 30 * way
    return turned(points, turn_deg)


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return points @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T


def flipped(points: np.ndarray) -> np.ndarray:
    return points * (-1, 1, 1)


def away_from_edges(name_of_hand: float) -> bool:
    return min(abs(abs(name_of_hand) - edge) for edge in (40, 140)) > 1e-6


@settings(deadline=None)
@given(any_points)
def test_a_mirror_swaps_left_and_right_and_nothing_else(points: np.ndarray):
    name, confidence = classify(points)
    assert name in GESTURES
    assert 0 <= confidence <= 1
    assert classify(points, mirror=True) == (SWAPPED.get(name, name), confidence)
    assert classify(flipped(points)) == (SWAPPED.get(name, name), pytest.approx(confidence))


@settings(deadline=None)
@given(st.sets(st.integers(0, 4)), st.floats(-180, 180), st.floats(0.01, 100), st.tuples(*[st.floats(-1000, 1000)] * 2))
def test_place_and_size_do_not_matter(fingers: set[int], turn: float, scale: float, shift: tuple[float, float]):
    points = drawn(fingers, turn)
    assert np.allclose(stretched(points), stretched(points * scale + (*shift, 0)), atol=1e-6)
    if min(abs(abs(math.remainder(h, 360)) - edge) for edge in (40, 120, 140) for h in (turn, turn - 2)) > 5:
        assert classify(points)[0] == classify(points * scale + (*shift, 0))[0]


@settings(deadline=None)
@given(st.floats(-180, 180))
def test_the_index_finger_points_where_it_is_turned(turn: float):
    points = drawn({1}, turn)
    assert math.isclose(math.cos(math.radians(heading_deg(points, 5, 8) - turn)), 1, abs_tol=1e-6)
    if away_from_edges(turn):
        expected = "point_up" if abs(turn) < 40 else "none" if abs(turn) > 140 else "point_right" if turn > 0 else "point_left"
        assert classify(points)[0] == expected
        assert classify(flipped(points))[0] == SWAPPED.get(expected, expected)


@settings(deadline=None)
@given(st.floats(-180, 180))
def test_a_thumb_alone_is_thumbs_up_or_points(turn: float):
    heading = heading_deg(drawn({0}), 2, 4)
    points, seen = drawn({0}, turn), math.remainder(heading + turn, 360)
    if away_from_edges(seen):
        expected = "thumbs_up" if abs(seen) < 40 else "none" if abs(seen) > 140 else "point_right" if seen > 0 else "point_left"
        assert classify(points)[0] == expected


@settings(deadline=None)
@given(st.floats(-180, 180), st.booleans())
def test_an_open_hand_is_a_palm_unless_it_hangs(turn: float, thumb: bool):
    points = drawn({1, 2, 3, 4} | ({0} if thumb else set()), turn)
    if abs(abs(turn) - 120) > 1:
        assert classify(points)[0] == ("open_palm" if abs(turn) < 120 else "none")


@settings(deadline=None)
@given(st.sets(st.integers(0, 4)), st.floats(-180, 180))
def test_every_other_set_of_fingers_says_nothing(fingers: set[int], turn: float):
    if fingers - {0} not in ({1}, {1, 2, 3, 4}, set()):
        assert classify(drawn(fingers, turn))[0] == "none"
    if not fingers:
        assert classify(drawn(fingers, turn))[0] == "none"


def test_a_finger_at_the_camera_points_to_no_side():
    points = drawn({1}, 90)
    points[6:9] = points[5] + np.array([[6, 0, -30], [8, 0, -60], [10, 0, -90]])
    assert stretched(points)[1] == 1.0
    assert classify(points)[0] == "none"


def test_points_that_are_all_one_say_nothing():
    assert classify(np.zeros((21, 3)))[0] == "none"
