"""The baseline of bench_fused: what the rules' targets in words mean among detections."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[2] / "launch"))

from fused_rules import Rules, gestures, meant

from omnistream.message import Action, Detections
from omnistream_models.fused.evidence import Evidence, HandSeen, Words
from omnistream_models.fused.gesturing import point_to

SEEN = Detections(
    np.array([[10, 0, 20, 9], [90, 0, 99, 9], [50, 0, 60, 9], [70, 0, 80, 9]], np.float32),
    ("red cup", "blue cup", "red ball", "blue cup"),
    np.array([0.9, 0.9, 0.9, 0.2], np.float32),
)


def test_words_mean_the_one_thing_that_has_them_all_or_the_outermost():
    def pick(target: str, seen: Detections | None = SEEN) -> object:
        return meant(Action("pick", 0, target=target), seen)

    assert pick("red cup")[-1] == "#0"
    assert pick("blue cup")[-1] == "#1"  # the other one has too little score
    assert pick("left cup")[-1] == "#0"
    assert pick("right red object")[-1] == "#2"
    assert pick("cup") == pick("green cup") == "rejected"
    assert pick("left red cup", None) == ("pick", "left", "", "", "cup", "red")
    assert meant(Action("forward", 0, {"distance_m": 1.0}), None) == ("forward", "", "1 m", "")


async def test_the_rules_decide_on_the_same_evidence():
    rules = Rules()
    await rules.open()
    pose = point_to(np.random.default_rng(0), "left").poses[0] / (4 / 3, 1, 4 / 3)
    hands = [HandSeen(-0.1 * n, pose.astype(np.float32)) for n in range(9, 0, -1)]
    assert {m.payload.name for m in gestures(Evidence(hands=hands))} == {"point_left"}
    said = Evidence(speech=Words("take the cup", -0.9, -0.2), hands=hands, detections=SEEN)
    assert (await rules.decide(said))[0] == ("pick", "", "", "", "#0")
    assert (await rules.decide(said.without("hands")))[0] == "rejected"
    assert (await rules.decide(Evidence(typed=Words("go forward three meters"))))[0] == ("forward", "", "3 m", "")
    assert (await rules.decide(Evidence()))[0] == "rejected"
