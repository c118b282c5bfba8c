"""Scenes: their truth is what their parts say, the same seed gives the same, and tests' parts are never trained on."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from omnistream_models.fused import phrases, talk
from omnistream_models.fused.captions import caption, is_true, stated
from omnistream_models.fused.evidence import Evidence, HandSeen, Words
from omnistream_models.fused.gesturing import point_at, point_to, show
from omnistream_models.fused.grams import GRAMS, grams, split_words
from omnistream_models.fused.hands import SHAPES, hand, noisy, ray
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.schema import COLOURS, DIRECTIONS, KINDS, REASONS, VERBS
from omnistream_models.fused.tokens import FIELDS, HANDS, OBJECTS, WORDS, tokens
from omnistream_models.fused.world import BEYOND, SIZE, Camera, Meant, Thing, detections, held_out, pairs, related, which
from omnistream_nodes.hand_shape import classify

ROOT = Path(__file__).parents[3]
TRAIN = [scene(5, n) for n in range(1500)]
TEST = [scene(5, n, test=True) for n in range(700)]
CUPS = [
    Thing("cup", "red", -0.4, 0.5),
    Thing("cup", "blue", 0.0, 0.5),
    Thing("plate", "white", 0.3, 0.5),
    Thing("ball", "red", 0.3, 0.1),
]


def test_the_same_seed_and_number_are_the_same_scene_and_others_are_not():
    again = scene(5, 7)
    assert (again.text, again.truth, again.things) == (TRAIN[7].text, TRAIN[7].truth, TRAIN[7].things)
    assert all(
        np.array_equal(a, b) for a, b in zip(tokens(again.evidence).values(), tokens(TRAIN[7].evidence).values(), strict=True)
    )
    assert len({s.text for s in TRAIN}) > 700


def test_training_never_sees_nor_hears_what_tests_have():
    assert 0.1 < len(pairs(test=True)) / (len(KINDS) - 1) / (len(COLOURS) - 1) < 0.35
    assert all(any(not held_out(k, c) for c in COLOURS[1:]) for k in KINDS[1:])
    for made in TRAIN:
        assert not any(held_out(t.kind, t.colour) for t in made.things if t.colour), made.text
        assert made.meant is None or not made.meant.colour or not held_out(made.meant.kind, made.meant.colour)
        assert not {t.kind for t in made.things} & set(BEYOND[1])
    for table in (phrases.PICK, phrases.PLACE_ON, phrases.WRAPS, phrases.THING, *phrases.FIXED.values()):
        assert not set(table.train) & set(table.test) - {"the {k}"}
    for table in phrases.RELATIONS.values():
        assert not set(table.train) & set(table.test)
    assert talk.of_tests("please do not go home")
    assert talk.of_tests("now grasp the red cup")
    assert not [made.text for made in TRAIN if talk.of_tests(made.text)]
    idle = {phrases.no_command(np.random.default_rng(n), test=True) for n in range(2000)}
    assert not idle & {talk.no_command(np.random.default_rng(n), ("cup", "lamp")) for n in range(5000)}
    assert any(made.meant is not None and made.meant.colour and held_out(made.meant.kind, made.meant.colour) for made in TEST)


@pytest.mark.parametrize("made", [TRAIN, TEST], ids=["train", "test"])
def test_truth_is_of_the_schema_and_about_what_is_there(made):
    for one in made:
        t = one.truth
        assert t.verb in VERBS
        assert t.direction in DIRECTIONS
        assert t.reason in REASONS
        seen = one.evidence.detections
        assert t.target < (0 if seen is None else len(seen.labels))
        if t.verb == "pick" and not t.reason and seen is not None:
            assert one.meant.fits(one.things[t.target])
        if t.reason == "absent" and seen is not None and not one.meant.to[0]:
            assert not any(one.meant.fits(thing) for thing in one.things)
    reasons = {one.truth.reason for one in made}
    assert reasons == set(REASONS)


def test_every_sentence_of_the_shipped_grammar_is_among_the_scenes():
    spec = YAML(typ="safe").load((ROOT / "graphs" / "commands.yaml").read_text())
    shipped = {s.text for n in range(5000) if (s := scene(9, n, shipped=1.0)).shipped} | {s.text for s in TRAIN + TEST}
    missing = []
    for patterns in spec["commands"].values():
        for pattern in patterns:
            slots = [w for w in spec["slots"] if "{" + w + "}" in pattern]
            filled = [
                pattern.format(**dict(zip(slots, values, strict=True)))
                for values in product(*(spec["slots"][s] for s in slots))
            ]
            if not any(text in shipped for text in filled):
                missing.append(pattern)
    assert missing == []


def test_which_thing_is_meant():
    assert which(CUPS, Meant("cup", "red"), None) == (0, "")
    assert which(CUPS, Meant("cup"), None) == (-1, "ambiguous")
    assert which(CUPS, Meant("cup"), 1) == (1, "")
    assert which(CUPS, Meant("cup", "red"), 1) == (-1, "contradiction")
    assert which(CUPS, Meant("book"), None) == (-1, "absent")
    assert which(CUPS, Meant(deictic=True), None) == (-1, "missing")
    assert which(CUPS, Meant(deictic=True), 3) == (3, "")
    assert which(CUPS, Meant("cup", relation="left"), None) == (0, "")
    assert which(CUPS, Meant("cup", relation="right"), None) == (1, "")
    assert which(CUPS, Meant("cup", relation="left_of", to=("plate", "")), None) == (-1, "ambiguous")
    assert which(CUPS, Meant("ball", relation="front_of", to=("plate", "")), None) == (3, "")
    assert which(CUPS, Meant("ball", relation="behind", to=("plate", "")), None) == (-1, "absent")
    close = [Thing("cup", "red", -0.02, 0.5), Thing("cup", "red", 0.03, 0.5)]
    assert which(close, Meant("cup", relation="left"), None) is None


def test_relations_are_each_others_opposites_and_one_at_a_time():
    rng = np.random.default_rng(0)
    opposite = {"left_of": "right_of", "front_of": "behind"}
    for _ in range(500):
        a, b = (Thing("cup", "red", *rng.uniform((-0.5, 0), (0.5, 1))) for _ in range(2))
        for one, other in opposite.items():
            assert related(a, one, b) == related(b, other, a)
        assert sum(related(a, r, b) is True for r in (*opposite, *opposite.values())) <= 1


def test_the_camera_keeps_left_and_right_and_shows_what_is_far_higher_and_smaller():
    for nearness in (1.0, 1.5, 2.5):
        left, right, far = Camera(nearness).boxes(
            [Thing("cup", "", -0.2, 0.2), Thing("cup", "", 0.2, 0.2), Thing("cup", "", 0.2, 0.9)]
        )
        assert left[2] < right[0]
        assert far[3] < right[3]
        assert far[2] - far[0] < right[2] - right[0]


def test_a_hand_points_where_it_is_told_to_and_the_rules_read_its_shape():
    rng = np.random.default_rng(1)
    names = {"palm": "open_palm", "thumb": "thumbs_up", "fist": "none", "two": "none"}
    right = 0
    for n in range(200):
        heading = float(rng.uniform(-180, 180))
        points = hand(rng, "point", heading, (0.5, 0.5), 0.1)
        assert points[5] == pytest.approx([0.5, 0.5, points[5][2]])
        way = ray(points)[1]
        assert math.degrees(math.atan2(way[0], -way[1])) == pytest.approx(heading, abs=0.01)
        shape = SHAPES[1 + n % 4]
        right += classify(hand(rng, shape, 0.0, (0.5, 0.5), 0.1))[0] == names[shape]
        side = ("left", "right")[n % 2]
        right += classify(noisy(rng, point_to(rng, side).poses[0], 0.1, odd_share=0))[0] == f"point_{side}"
    assert right > 330


def test_the_noise_of_points_is_that_of_the_real_detector():
    rng = np.random.default_rng(2)
    still = hand(rng, "point", 30.0, (0.5, 0.5), 0.1)
    seen = np.stack([noisy(rng, still, 0.1, odd_share=0) for _ in range(300)])
    size = np.std(seen - seen[:, :1], axis=0)[9:, :2].mean() / 0.1 / math.sqrt(2)
    assert 0.009 < size < 0.025


def test_who_is_pointed_at_is_beyond_doubt():
    rng, found = np.random.default_rng(3), 0
    for _ in range(100):
        boxes = Camera().boxes([Thing("cup", "", *rng.uniform((-0.5, 0), (0.5, 1))) for _ in range(4)])
        showing = point_at(rng, boxes, 2)
        if showing is None:
            continue
        found += 1
        tip, way = ray(showing.poses[0])
        middles = np.stack([boxes[:, [0, 2]].mean(1), boxes[:, [1, 3]].mean(1)], 1) / SIZE[1]
        to = (middles - tip) / np.linalg.norm(middles - tip, axis=1, keepdims=True)
        assert (to @ way).argmax() == 2
    assert found > 30
    assert show(rng, "fist").side == ""


def test_captions_are_true_of_their_scene_and_of_few_others():
    told = [(made, stated(made, np.random.default_rng(n))) for n, made in enumerate(TEST)]
    told = [(made, what) for made, what in told if what is not None]
    assert len(told) > 200
    assert all(is_true(what, made.things) for made, what in told)
    assert np.mean([is_true(told[0][1], made.things) for made, _ in told]) < 0.05
    assert all(caption(made, np.random.default_rng(1), test=True) for made, _ in told)


# -- tokens ----------------------------------------------------------------------------------------


def test_tokens_have_their_shapes_whatever_the_evidence():
    rng = np.random.default_rng(4)
    many = detections([Thing("cup", "red", *rng.uniform((-0.5, 0), (0.5, 1))) for _ in range(30)], Camera(), rng.random(30))
    many.boxes[3] = np.nan
    hands = [HandSeen(-0.01 * t, rng.normal(0, 1e9, (21, 3)).astype(np.float32)) for t in range(40)]
    hands.append(HandSeen(-1.0, np.full((21, 3), np.nan, np.float32)))
    typed = Words("ünïcode 12 it's " + "x" * 500)
    odd = Evidence(Words("word " * 100), typed=typed, hands=hands, detections=many, holding=True)
    for evidence in (odd, Evidence(), odd.without("speech", "typed"), *(s.evidence for s in TEST[:100])):
        made = tokens(evidence)
        assert {n: (v.shape, v.dtype) for n, v in made.items()} == {n: (s, np.dtype(k)) for n, (s, k) in FIELDS.items()}
        assert all(np.isfinite(v).all() for v in made.values())
    made = tokens(odd)
    assert (made["words_on"].sum(), made["hands_on"].sum(), made["objects_on"].sum()) == (WORDS, HANDS, OBJECTS)
    assert not tokens(odd.without("hands"))["hands_on"].any()


def test_what_sounds_alike_shares_letter_groups():
    def shared(a: str, b: str) -> float:
        one, other = set(grams(a)) - {0}, set(grams(b)) - {0}
        return len(one & other) / len(one | other)

    assert shared("bottle", "bottles") > 0.5 > shared("bottle", "plate")
    assert len(grams("x" * 99)) == GRAMS
    assert split_words("Take the CUP, it’s 10 m!") == ["take", "the", "cup", "it's", "10", "m"]
