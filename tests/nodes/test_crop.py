"""Crops: what is cut out lies where the points say, in any attitude."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnistream_nodes import hand, palm
from omnistream_nodes.crop import Crop

crops = st.builds(
    Crop,
    st.floats(-50, 700),
    st.floats(-50, 500),
    st.floats(20, 900),
    st.floats(-math.pi, math.pi),
)
RNG = np.random.default_rng(3)
IMAGE = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)


@settings(deadline=None)
@given(crops, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=21))
def test_points_go_there_and_back(crop: Crop, points: list[tuple[float, float]]):
    given_points = np.array(points)
    assert np.allclose(crop.to_crop(crop.to_image(given_points)), given_points, atol=1e-9)


@settings(deadline=None)
@given(crops, st.floats(-1, 1), st.floats(-1, 1), st.floats(0.5, 3))
def test_a_moved_crop_is_moved_along_its_own_axes(crop: Crop, x: float, y: float, scale: float):
    moved = crop.moved(x, y, scale)
    assert np.allclose(crop.to_crop(np.array([[moved.x, moved.y]])), [[0.5 + x, 0.5 + y]], atol=1e-9)
    assert math.isclose(moved.size, crop.size * scale)


def test_the_whole_image_at_its_own_size_is_the_image():
    square = IMAGE[:48, :48]
    out = Crop(24, 24, 48).sample(np.ascontiguousarray(square), 48)
    assert out.dtype == np.float32
    assert np.allclose(out * 255, square, atol=1e-3)


def test_a_quarter_turn_is_the_turned_image():
    square = np.ascontiguousarray(IMAGE[:48, :48])
    for quarters in range(4):
        out = Crop(24, 24, 48, quarters * math.pi / 2).sample(square, 48)
        assert np.allclose(out * 255, np.rot90(square, quarters), atol=1e-3)


@settings(deadline=None)
@given(crops)
def test_what_lies_outside_is_black_and_inside_within_range(crop: Crop):
    out = crop.sample(IMAGE, 16)
    assert out.shape == (16, 16, 3)
    assert out.dtype == np.float32
    assert out.min() >= 0
    assert out.max() <= 1
    far = Crop(crop.x + 5000, crop.y, crop.size, crop.angle_rad)
    assert not far.sample(IMAGE, 16).any()


def test_a_large_crop_does_not_alias():
    stripes = np.zeros((640, 640, 3), np.uint8)
    stripes[:, ::2] = 255
    out = Crop(320, 320, 640).sample(stripes, 40)
    assert np.allclose(out, 0.5, atol=0.05)


def test_views_that_are_not_contiguous_are_read_as_they_look():
    assert np.array_equal(
        Crop(32, 24, 40, 0.3).sample(IMAGE[:, ::-1], 20), Crop(32, 24, 40, 0.3).sample(IMAGE[:, ::-1].copy(), 20)
    )


# palms: one palm among the anchors comes out where it was put


def _raw(at: int, shift: tuple[float, float], score: float) -> tuple[np.ndarray, np.ndarray]:
    boxes, scores = np.zeros((1, 2016, 18), np.float32), np.full((1, 2016, 1), -20, np.float32)
    boxes[0, at, :2] = shift
    boxes[0, at, 2:4] = 48, 48
    boxes[0, at, 4:] = np.tile(shift, 7)
    scores[0, at] = score
    return boxes, scores


def test_the_anchors_are_those_of_the_model():
    centres = palm.anchors()
    assert centres.shape == (2016, 2)
    assert np.allclose(centres[0], 0.5 / 24)
    assert np.allclose(centres[-1], 11.5 / 12)
    assert len(np.unique(centres, axis=0)) == 24 * 24 + 12 * 12


@settings(deadline=None)
@given(st.integers(0, 2015), st.floats(-40, 40), st.floats(-40, 40))
def test_a_palm_comes_out_where_it_was_put(at: int, dx: float, dy: float):
    (found,) = palm.decode(*_raw(at, (dx, dy), 3.0), min_score=0.5)
    centre = palm.anchors()[at] + np.array([dx, dy]) / palm.SIDE
    assert np.allclose((found.box[:2] + found.box[2:]) / 2, centre, atol=1e-5)
    assert np.allclose(found.points, centre, atol=1e-5)
    assert math.isclose(found.score, 1 / (1 + math.exp(-3)), rel_tol=1e-6)


def test_overlapping_palms_are_one_and_distant_ones_are_two():
    boxes, scores = _raw(0, (20, 20), 3.0)
    for at, score in ((1, 2.0), (2010, 1.0)):
        more, likely = _raw(at, (20, 20) if at == 1 else (-20, -20), score)
        boxes, scores = boxes + more, np.maximum(scores, likely)
    found = palm.decode(boxes, scores, min_score=0.5)
    assert len(found) == 2
    assert found[0].score > found[1].score
    assert palm.decode(boxes, scores, min_score=0.99) == []


def test_the_hand_is_upright_in_its_crop():
    seen = palm.whole_image(480, 640)
    for turn in np.linspace(-3, 3, 13):
        up = np.array([math.sin(turn), -math.cos(turn)])
        points = np.tile(np.array([0.5, 0.5]), (7, 1))
        points[2] += 0.1 * up
        crop = palm.hand_crop(palm.Palm(1.0, np.array([0.45, 0.45, 0.55, 0.55]), points), seen)
        wrist, knuckle = crop.to_crop(seen.to_image(points[[0, 2]]))
        assert math.isclose(wrist[0], knuckle[0], abs_tol=1e-9)
        assert knuckle[1] < wrist[1]
        assert math.isclose(crop.size, 64 * 2.6)


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(20, 300))
def test_the_next_crop_follows_a_turning_and_growing_hand(turn: float, size: float):
    base = np.random.default_rng(1).uniform(0.2, 0.8, (21, 2))
    here = Crop(300, 200, 100)
    there = Crop(300, 200, size, turn)
    one = hand.next_crop(np.c_[here.to_image(base), np.zeros(21)])
    two = hand.next_crop(np.c_[there.to_image(base), np.zeros(21)])
    assert math.isclose(two.size, one.size * size / 100, rel_tol=1e-6)
    assert math.isclose(math.cos(two.angle_rad - one.angle_rad), math.cos(turn), abs_tol=1e-6)
    assert np.allclose(there.to_crop([[two.x, two.y]]), here.to_crop([[one.x, one.y]]), atol=1e-6)
