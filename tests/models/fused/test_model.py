"""Laws of the network: what is masked cannot matter, nor does order; a batch is its items; what is absent weighs nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from omnistream_models.fused.alignment import Alignment
from omnistream_models.fused.data import tensors
from omnistream_models.fused.evidence import HEARD
from omnistream_models.fused.model import GATES, FusedModel
from omnistream_models.fused.reading import bag
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.size import FULL, Size, folded
from omnistream_models.fused.tokens import FIELDS, OBJECTS, batch, tokens

ON = {
    "words": "words_on",
    "typed": "words_on",
    "hands": "hands_on",
    "objects": "objects_on",
    "labels": "objects_on",
    "looks": "objects_on",
    "sounds": "sounds_on",
    "state": "state_on",
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> FusedModel:
    torch.manual_seed(3)
    return FusedModel().eval()


@pytest.fixture(scope="module")
def items() -> dict[str, np.ndarray]:
    rng, made = np.random.default_rng(5), [scene(6, n, test=bool(n % 2), plain=0.5).evidence for n in range(48)]
    heard = [replace(e, sound=rng.normal(size=(n, HEARD)).astype(np.float32)) if n % 3 else e for n, e in enumerate(made)]
    return batch([tokens(evidence) for evidence in heard])


def outputs(model: FusedModel, arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        said, enough, heads, target, gates = model(tensors(arrays))
    return {f"said {n}": v for n, v in said.items()} | heads | {"enough": enough, "target": target, "gates": gates}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 0.0) -> None:
    for name, value in one.items():
        assert torch.isfinite(value).all(), name
        torch.testing.assert_close(value, other[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


def test_what_is_masked_cannot_change_anything_whatever_it_is(model: FusedModel, items: dict[str, np.ndarray]):
    rng, spoilt = np.random.default_rng(0), dict(items)
    for name, on in ON.items():
        mask = items[on].reshape(*items[on].shape, *[1] * (items[name].ndim - 2))
        rubbish = (
            rng.integers(0, 2000, items[name].shape) if items[name].dtype == np.int32 else np.full(items[name].shape, np.nan)
        )
        spoilt[name] = np.where(mask, items[name], rubbish).astype(items[name].dtype)
        assert name == "state" or not np.array_equal(spoilt[name], items[name])
    same(outputs(model, items), outputs(model, spoilt))


def test_the_order_of_things_does_not_matter(model: FusedModel, items: dict[str, np.ndarray]):
    order = np.random.default_rng(1).permutation(OBJECTS)
    shuffled = items | {n: items[n][:, order] for n in ("objects", "labels", "looks", "objects_on")}
    one, other = outputs(model, items), outputs(model, shuffled)
    torch.testing.assert_close(one.pop("target")[:, order], other.pop("target"), rtol=1e-3, atol=1e-3)
    same(one, other, 1e-3)


def test_a_batch_is_its_items(model: FusedModel, items: dict[str, np.ndarray]):
    whole = outputs(model, items)
    singles = [outputs(model, {n: v[i : i + 1] for n, v in items.items()}) for i in range(0, 48, 5)]
    joined = {n: torch.cat([s[n] for s in singles]) for n in whole}
    same({n: v[::5] for n, v in whole.items()}, joined, 1e-3)


def test_an_absent_modality_weighs_nothing_and_a_present_one_something(model: FusedModel, items: dict[str, np.ndarray]):
    gates = outputs(model, items)["gates"].numpy()
    there = np.stack([items["seeing"][:, 0] > 0, *(items[f"{name}_on"].any(1) for name in GATES[1:])], 1)
    assert gates.shape[1] == len(GATES)
    assert (gates[~there] == 0).all()
    assert ((gates[there] > 0) & (gates[there] < 1)).all()


def test_a_thing_that_is_not_there_is_never_meant(model: FusedModel, items: dict[str, np.ndarray]):
    target = outputs(model, items)["target"].numpy()
    some = items["objects_on"].any(1)
    assert items["objects_on"][some, target[some].argmax(1)].all()


def test_nothing_at_all_is_no_fault(model: FusedModel):
    empty = {name: np.zeros((2, *shape), kind) for name, (shape, kind) in FIELDS.items()}
    assert all(torch.isfinite(v).all() for v in outputs(model, empty).values())


def test_room_that_is_not_used_and_parts_without_evidence_add_nothing(model: FusedModel):
    """A law of the adaptive path: what it leaves out would have changed nothing."""
    for n in range(40):
        item = batch([tokens(scene(11, n, test=True).evidence)])
        words, things = (max(2, int(item[on].sum())) for on in ("words_on", "objects_on"))
        most = dict.fromkeys(("words", "words_on", "typed"), words)
        most |= dict.fromkeys(("objects", "labels", "looks", "objects_on"), things)
        x, less = tensors(item), tensors({name: value[:, : most.get(name)] for name, value in item.items()})
        there = {"objects": bool(item["objects_on"].any() or item["seeing"].any()), "hands": bool(item["hands_on"].any())}
        parts = (*(name for name, yes in there.items() if yes), "state")
        with torch.no_grad():
            found = []
            for fields, these in ((x, GATES), (less, parts)):
                embedded, labels = (bag(model.reader.table, fields[name]) for name in ("words", "labels"))
                said, _, hidden, embedded, slots = model.reader.read(embedded, fields["words_on"], fields["typed"])
                found.append(model.fusion(said, hidden, embedded, slots, labels, fields, these))
        (whole, target, gates), (some, fewer, weighed) = found
        same(whole | {"gates": gates, "target": target[:, :things]}, some | {"gates": weighed, "target": fewer}, 2e-3)


def test_a_sentence_is_near_to_the_scene_of_its_things_in_any_order(model: FusedModel, items: dict[str, np.ndarray]):
    torch.manual_seed(4)
    space, order = Alignment().eval(), np.random.default_rng(2).permutation(OBJECTS)
    x = tensors(items)
    shuffled = tensors({n: items[n][:, order] for n in ("objects", "labels", "objects_on")})
    with torch.no_grad():
        said = space.of_words(model.reader, bag(model.reader.table, x["words"]), x["words_on"])
        found = [
            space.near(said, space.of_scenes(bag(model.reader.table, v["labels"]), v["objects"], v["objects_on"]))
            for v in (x, shuffled)
        ]
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)
    assert found[0].shape == (48, 48)


def test_a_smaller_table_folds_the_rows_of_words_and_none_stays_none():
    rows = np.arange(FULL.rows)
    assert np.array_equal(folded(rows, FULL.rows), rows)
    fewer = folded(rows, 100)
    assert set(fewer[1:]) == set(range(1, 100))
    assert np.array_equal(fewer[1:100], rows[1:100])
    model = FusedModel(Size(width=8, embedded=4, rows=100, inner=8))
    ids = torch.tensor([[0, 0, 0], [5, 104, 0]])
    with torch.no_grad():
        found = bag(model.reader.table, ids)
    torch.testing.assert_close(found[0], torch.zeros(4))
    torch.testing.assert_close(found[1], model.reader.table.weight[5], msg="104 is folded onto 5")


@pytest.mark.parametrize("wrong", [{"width": 6}, {"rows": 1}, {"rows": FULL.rows + 1}, {"inner": 0}])
def test_a_size_that_is_no_network_is_refused(wrong: dict[str, int]):
    with pytest.raises(ValueError, match="write"):
        Size(**wrong)
