"""What is seen of things beside their boxes: the truth stays, tests' looks are the tests' own, and none is made in vain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from omnistream.message import Detections
from omnistream_models.fused.evidence import LOOKS, Evidence, Words
from omnistream_models.fused.runtime import FusedNetwork
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.schema import COLOURS, KINDS
from omnistream_models.fused.seeing import FILE
from omnistream_models.fused.tensors import read
from omnistream_models.fused.tokens import kept, other_tokens, unnamed
from omnistream_models.fused.world import held_out

SEEN = Detections(
    np.array([[40, 150, 70, 180], [140, 150, 200, 165], [240, 150, 270, 180]], np.float32),
    ("red cup", "plate", "object"),
    np.full(3, 0.9, np.float32),
)


def test_a_plain_detector_changes_what_is_seen_and_nothing_of_the_truth():
    for n in range(150):
        plain, full = scene(5, n, test=True, plain=1.0), scene(5, n, test=True, plain=0.0)
        assert (plain.truth, plain.text, plain.things) == (full.truth, full.text, full.things)
        seen, all_of_it = plain.evidence.detections, full.evidence.detections
        if seen is None or all_of_it is None:
            assert seen is all_of_it
            continue
        assert plain.evidence.look is not None
        assert np.array_equal(seen.boxes, all_of_it.boxes)
        assert not any(set(label.split()) & set(COLOURS[1:]) for label in seen.labels)
        looks = plain.evidence.look(np.arange(len(seen.labels)))
        assert looks.shape == (len(seen.labels), LOOKS)
        known = [t.kind in KINDS for t in plain.things]
        assert np.allclose(np.linalg.norm(looks[: len(known)][known], axis=1), 1, atol=2e-3)


def test_looks_of_training_are_of_what_is_trained_on_and_differ_from_those_of_tests():
    arrays, _ = read(FILE)
    train = {(KINDS[k], COLOURS[c]) for k, c in arrays["train_names"]}
    tests = {(KINDS[k], COLOURS[c]) for k, c in arrays["test_names"]}
    assert not any(held_out(k, c) for k, c in train if c)
    assert {(k, c) for k in KINDS[1:] for c in COLOURS[1:]} <= train | tests
    assert any(held_out(k, c) for k, c in tests if c)
    rows = [{row.tobytes() for row in arrays[f"{part}_vectors"]} for part in ("train", "test")]
    assert len(rows[0] & rows[1]) < 0.05 * len(rows[1])  # but of what nobody could take for anything else


def test_a_label_leaves_open_what_it_does_not_say():
    assert [unnamed(label) for label in ("red cup", "cup", "object", "red object", "", "hammer")] == [False, *[True] * 5]


def test_only_things_that_a_label_leaves_open_are_looked_at_and_none_where_words_are_enough():
    asked = list[list[int]]()

    def look(numbers: np.ndarray) -> np.ndarray:
        asked.append(numbers.tolist())
        return np.ones((len(numbers), LOOKS), np.float32)

    evidence = Evidence(detections=SEEN, look=look)
    assert other_tokens(evidence, every=False)["looks"].any(1).tolist() == [False, True, True, *[False] * 9]
    assert asked == [[1, 2]]
    assert other_tokens(evidence)["looks"].any(1).sum() == len(kept(SEEN))
    asked.clear()
    network = FusedNetwork()
    for text in ("go forward two meters", "stop", "turn left"):
        network.decide(replace(evidence, typed=Words(text)))
    assert asked == []
    network.decide(replace(evidence, typed=Words("take the red cup")))
    assert asked == [[1, 2]]
    network.decide(replace(evidence, typed=Words("turn left")), whole=True)
    assert asked[1:] == [[0, 1, 2]]
