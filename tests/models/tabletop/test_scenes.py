"""Rendered scenes: the same number is the same picture, and their truth is what is to be seen. Needs MuJoCo and EGL."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from omnistream.errors import ModelError
from omnistream_models.fused.world import SIZE, Thing, related
from omnistream_models.tabletop.scenes import Tabletops
from omnistream_models.tabletop.stage import Stage, mujoco_or_why_not


@pytest.fixture(scope="module", params=[False, True], ids=["train", "test"])
def tabletops(request: pytest.FixtureRequest):
    made = Tabletops(4, test=request.param)
    try:
        made[0]
    except ModelError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture(scope="module")
def stage():
    try:
        made = Stage(2, 0, test=False)
    except ModelError as error:
        pytest.skip(str(error))
    yield made
    made.close()


def test_a_number_is_a_picture_whatever_was_asked_for_before(tabletops: Tabletops):
    first = [tabletops[n] for n in (3, 4)]
    again = [tabletops[n] for n in (41, 4, 3)][:0:-1]  # 41 has another stage
    for one, other in zip(first, again, strict=True):
        assert one.things == other.things
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.boxes, other.boxes)
    assert not np.array_equal(first[0].image, first[1].image)


def test_truth_is_of_what_is_to_be_seen(tabletops: Tabletops):
    for n in range(10):
        one = tabletops[n]
        assert one.image.shape == (SIZE[1], SIZE[0], 3)
        assert one.image.std() > 5
        assert len(one.things) == len(one.boxes) == len(one.detections.labels) >= 1
        assert (one.boxes[:, :2] < one.boxes[:, 2:]).all()
        assert (one.boxes >= 0).all()
        assert (one.boxes <= (*SIZE, *SIZE)).all()
        feet = one.setting.view.project(np.array([(t.x, t.y, 0.0) for t in one.things]))
        inside = (feet > one.boxes[:, :2] - 4) & (feet < one.boxes[:, 2:] + 4)
        assert inside[:, 0].all()


def test_a_box_holds_all_pixels_of_its_thing_and_moves_with_it(stage: Stage):
    rng, setting = np.random.default_rng(0), Tabletops(4, test=False)[2].setting
    place = lambda x: replace(setting, things=(Thing("ball", "red", x, 0.4),), looks=setting.looks[:1])  # noqa: E731
    left, right = (stage.shoot(place(x), rng) for x in (-0.3, 0.3))
    for shot in (left, right):
        rows, columns = np.nonzero(shot.owners == 0)
        x0, y0, x1, y1 = shot.whole[0]
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(found, (x0, y0, x1, y1), atol=1.6)
    assert related(Thing("ball", "red", -0.3, 0.4), "left_of", Thing("ball", "red", 0.3, 0.4))
    assert left.whole[0, 2] < right.whole[0, 0]


def test_light_changes_the_picture_and_not_the_truth(stage: Stage):
    setting = Tabletops(4, test=False)[5].setting
    dark = replace(setting, lights=setting.lights[:1], ambient=(0.02, 0.02, 0.02))
    one, other = (stage.shoot(s, np.random.default_rng(1)) for s in (setting, dark))
    assert other.image.mean() < one.image.mean() - 3
    np.testing.assert_array_equal(one.owners, other.owners)


def test_without_mujoco_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ModelError, match=r'pip install "omnistream\[scenes\]"'):
        mujoco_or_why_not()
    with pytest.raises(ModelError, match="rendered by MuJoCo"):
        Tabletops(0, test=False)[0]
