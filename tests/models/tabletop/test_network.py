"""Laws of the networks and of what they are trained on: order and padding do not matter, a batch is its items."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omnistream_models.fused.captions import is_true
from omnistream_models.fused.schema import COLOURS, KINDS
from omnistream_models.fused.world import Thing, held_out
from omnistream_models.tabletop.batches import Grid, holds, names, sampled, statements, varied
from omnistream_models.tabletop.crops import MOST, RELATIONS, relations_of, unseen
from omnistream_models.tabletop.cutting import MARGIN, SIDE, cut
from omnistream_models.tabletop.network import Images, Pairs, Sentences, contrast
from omnistream_models.tabletop.sayings import name_of, words_of
from omnistream_nodes.crop import Crop

TABLES = unseen(3, 200)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def things_of(row: int) -> list[tuple[int, int]]:
    first, last = TABLES.first[row : row + 2]
    return list(zip(TABLES.kinds[first:last].tolist(), TABLES.colours[first:last].tolist(), strict=True))


def test_tables_of_training_hold_no_pair_of_tests():
    assert not any(held_out(KINDS[k], COLOURS[c]) for k, c in zip(TABLES.kinds, TABLES.colours, strict=True))
    assert np.diff(TABLES.first).max() <= MOST


def test_a_statement_is_true_of_its_table_and_of_those_of_which_anybody_would_say_it():
    rng, grid, rows = np.random.default_rng(1), Grid(TABLES), np.arange(200)
    told = statements(rng, grid, rows)
    true = holds(told.statements, grid, rows)
    assert true.any(1).all()
    placed = [Thing("cup", "red", -0.3, 0.4), Thing("ball", "blue", 0.2, 0.45), Thing("cup", "white", 0.0, 0.9)]
    relations = relations_of(placed)
    for r, relation in enumerate(RELATIONS):
        for i, one in enumerate(placed):
            for j, other in enumerate(placed):
                if i != j:
                    assert relations[r, i, j] == is_true((one, relation, other), [one, other])
    assert not relations[:, 3:].any()


def test_names_are_true_of_the_things_that_they_name():
    kinds, colours = np.array([1, 1, 2, 0, 3]), np.array([1, 2, 1, 4, 0])
    for seed in range(20):
        words, true = names(np.random.default_rng(seed), kinds, colours)
        assert len(words) == len(true) == 2
        assert true[0, 0]
        assert true[1, 2]
        assert not true[:, 3:].any()  # neither a thing without a name nor one without a colour is named


def test_every_kind_and_colour_has_its_turn_however_rare():
    groups = [np.arange(1000), np.arange(1000, 1010)]
    found = sampled(np.random.default_rng(0), groups, 4000)
    share = float((found >= 1000).mean())
    assert share == pytest.approx(np.log(10) / (np.log(10) + np.log(1000)), abs=0.03)


@pytest.mark.parametrize("box", [(10, 20, 30, 60), (-15, 3, 20, 9), (100, 70, 190, 130), (0, 0, 120, 90), (4, 5, 4, 5)])
def test_a_crop_is_square_about_its_box_as_the_nodes_other_crops_are(box: tuple[int, ...]):
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    size = max(box[2] - box[0], box[3] - box[1], 2) * MARGIN
    if size < 2 * SIDE:  # no finer grid
        wanted = Crop((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, size).sample(image, SIDE)
        np.testing.assert_allclose(cut(image, np.array(box)), wanted, atol=2e-3)
    grey = cut(np.full_like(image, 51), np.array(box))
    assert grey.shape == (SIDE, SIDE, 3)
    assert grey.max() <= 0.2 + 1e-6


def test_crops_to_train_on_change_within_bounds():
    rng = np.random.default_rng(0)
    x = varied(rng, rng.integers(0, 256, (6, 56, 56, 3), dtype=np.uint8))
    assert x.shape == (6, 3, SIDE, SIDE)
    assert 0 <= x.min() <= x.max() <= 1


def test_the_order_of_things_and_what_is_not_there_do_not_matter():
    grid, pairs, sentences = Grid(TABLES), Pairs().eval(), Sentences().eval()
    rows = np.arange(12)
    vectors = torch.nn.functional.normalize(torch.randn(12, MOST, 32), dim=-1)
    boxes, on = torch.from_numpy(grid.boxes[rows].astype(np.float32)), torch.from_numpy(grid.on[rows])
    told = statements(np.random.default_rng(0), grid, rows)
    with torch.no_grad():
        said = sentences(told.words)
        whole = pairs(said, vectors, boxes, on)
        order = torch.randperm(MOST)
        torch.testing.assert_close(pairs(said, vectors[:, order], boxes[:, order], on[:, order]), whole, rtol=1e-4, atol=1e-4)
        spoilt = torch.where(on.unsqueeze(-1), vectors, torch.full_like(vectors, 7.0))
        torch.testing.assert_close(pairs(said, spoilt, boxes, on), whole, rtol=1e-4, atol=1e-4)
        one = pairs(type(said)(*(v[3:4] for v in said)), vectors[5:6], boxes[5:6], on[5:6])
        torch.testing.assert_close(one[0, 0], whole[3, 5], rtol=1e-4, atol=1e-4)


def test_vectors_are_of_length_one_and_a_batch_is_its_items():
    images, sentences = Images().eval(), Sentences().eval()
    crops, texts = torch.rand(5, 3, SIDE, SIDE), [name_of(k, c) for k, c in things_of(0) + things_of(1)]
    with torch.no_grad():
        whole, said = images(crops), sentences(torch.from_numpy(words_of(texts)))
        for vectors in (whole.vectors, said.one, said.relation, said.other):
            torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(vectors)))
        longer = torch.nn.functional.pad(torch.from_numpy(words_of(texts)), (0, 0, 0, 5))
        torch.testing.assert_close(sentences(longer).relation, said.relation, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(images(crops[2:3]).vectors[0], whole.vectors[2], rtol=1e-4, atol=1e-4)


def test_the_loss_is_least_where_all_that_is_true_is_near():
    true = torch.tensor([[True, True, False], [False, False, True]])
    near = torch.where(true, 10.0, -10.0)
    assert contrast(near, true) < contrast(torch.zeros(2, 3), true) < contrast(-near, true)
    nobody = torch.cat([true, torch.zeros(2, 1, dtype=torch.bool)], 1)
    assert torch.isfinite(contrast(torch.randn(2, 4), nobody))
