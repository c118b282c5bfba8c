"""What scenes are made of: closed bodies that stand on the table, colours in their ranges, and tests' parts apart."""

from __future__ import annotations

import colorsys
from collections import Counter

import numpy as np
import pytest

from omnistream_models.fused.schema import COLOURS, KINDS
from omnistream_models.fused.world import SIZE, held_out
from omnistream_models.tabletop import textures
from omnistream_models.tabletop.colours import OTHERS, drawn
from omnistream_models.tabletop.kinds import SHAPES, shape
from omnistream_models.tabletop.setting import View, drawn_setting
from omnistream_models.tabletop.solids import Solid

TRAIN = [drawn_setting(np.random.default_rng((1, n)), test=False) for n in range(300)]
TEST = [drawn_setting(np.random.default_rng((1, n)), test=True) for n in range(300)]


def volume(solid: Solid) -> float:
    a, b, c = (solid.vertices[solid.faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("test", [False, True], ids=["train", "test"])
def test_every_shape_is_a_body_that_stands_on_the_table_and_is_of_a_size_to_be_taken(kind: str, test: bool):
    assert set(SHAPES) == set(KINDS)
    for seed in range(12):
        parts = shape(np.random.default_rng(seed), kind, test=test)
        points = np.concatenate([p.solid.vertices for p in parts])
        assert abs(points[:, 2].min()) < 0.015
        assert 0.01 < np.ptp(points, axis=0).max() < 0.25
        assert any(p.rgb is None for p in parts)
        for part in parts:
            assert volume(part.solid) > 0
            corners = np.unique(part.solid.vertices.round(7), axis=0, return_inverse=True)[1].reshape(-1)[part.solid.faces]
            edges = Counter((int(f[i]), int(f[(i + 1) % 3])) for f in corners for i in range(3))
            assert all(edges[b, a] == count for (a, b), count in edges.items() if a != b)  # no holes


def test_colours_are_in_the_range_of_their_name_and_training_stays_within():
    rng = np.random.default_rng(0)
    for name in (*COLOURS[1:], *OTHERS):
        seen = {t: np.array([colorsys.rgb_to_hsv(*drawn(rng, name, test=t)) for _ in range(400)]) for t in (False, True)}
        assert (seen[True][:, 1:].max(0) >= seen[False][:, 1:].max(0)).all(), name
        assert (seen[True][:, 1:].min(0) <= seen[False][:, 1:].min(0)).all(), name
    reds = np.array([drawn(rng, "red", test=True) for _ in range(100)])
    assert (reds[:, 0] > reds[:, 1:].max(1)).all()


def test_patterns_of_tests_are_none_of_training_but_for_having_none():
    assert set(textures.PATTERNS[0]) & set(textures.PATTERNS[1]) == {"even"}
    for test in (False, True):
        rng = np.random.default_rng(3)
        made = [textures.surface(rng, test=test) for _ in range(12)] + [
            textures.pattern(rng, p) for p in textures.PATTERNS[test]
        ]
        assert all(m.shape == (textures.SIDE, textures.SIDE, 3) and m.dtype == np.uint8 for m in made)
        assert len({m.tobytes() for m in made}) == len(made)


def test_training_has_no_pair_cameras_or_lamps_of_tests():
    for one in TRAIN:
        assert not any(held_out(t.kind, t.colour) for t in one.things if t.colour)
    assert any(held_out(t.kind, t.colour) for one in TEST for t in one.things if t.colour)
    places = [{s.view.position for s in part} for part in (TRAIN, TEST)]
    steep = [np.array([-z / y for _, y, z in part]) for part in places]
    assert not ((steep[1] > steep[0].min()) & (steep[1] < steep[0].max())).any()
    assert max(-y for _, y, _ in places[1]) <= min(-y for _, y, _ in places[0])


@pytest.mark.parametrize("settings", [TRAIN, TEST], ids=["train", "test"])
def test_the_camera_sees_where_things_stand_and_what_is_further_away_is_higher_up(settings):
    for one in settings:
        uv = one.view.project(np.array([(t.x, t.y, 0.0) for t in one.things]))
        assert ((uv > 0) & (uv < SIZE)).all()
        assert one.view.axes() @ one.view.axes().T == pytest.approx(np.eye(3), abs=1e-9)
        near, far = one.view.project(np.array([(0, 0, 0), (0, 1, 0)]))
        left, right = one.view.project(np.array([(-0.3, 0.5, 0), (0.3, 0.5, 0)]))
        assert near[1] > far[1]
        assert left[0] < right[0]


def test_what_a_camera_looks_at_is_in_the_middle():
    view = View((0.3, -1, 0.8), (0.1, 0.4, 0.05), 0.8, 0.3)
    assert view.project(np.array([view.target]))[0] == pytest.approx((SIZE[0] / 2, SIZE[1] / 2))
